//! Which container this process runs in, as an Agent wants to know it.

use std::os::linux::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The inode of the host's own cgroup namespace, the same on every Linux.
const HOST_CGROUP_NAMESPACE: u64 = 0xEFFF_FFFB;

/// What identifies the container in an Agent's requests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContainerIdentity {
    /// `Datadog-Container-ID`.
    pub container_id: Option<String>,
    /// `Datadog-Entity-ID`: `ci-<container id>` or `in-<inode of the cgroup>`.
    pub entity_id: Option<String>,
}

impl ContainerIdentity {
    /// Looks at this very process.
    pub fn detect() -> Self {
        let Ok(cgroups) = std::fs::read_to_string("/proc/self/cgroup") else { return Self::default() };
        if let Some(id) = container_id(&cgroups) {
            return ContainerIdentity { entity_id: Some(format!("ci-{id}")), container_id: Some(id) };
        }
        // In the host's namespace the inode would be the host's, which identifies no container.
        let in_host_namespace = inode(Path::new("/proc/self/ns/cgroup")).is_none_or(|i| i == HOST_CGROUP_NAMESPACE);
        let cgroup = if in_host_namespace { None } else { cgroup_directory(&cgroups).and_then(|path| inode(&path)) };
        ContainerIdentity { container_id: None, entity_id: cgroup.map(|inode| format!("in-{inode}")) }
    }
}

fn inode(path: &Path) -> Option<u64> {
    std::fs::metadata(path).ok().map(|metadata| metadata.st_ino())
}

/// Finds the container id in the text of `/proc/self/cgroup`, whose lines are `hierarchy:controllers:path`.
pub fn container_id(cgroups: &str) -> Option<String> {
    cgroups.lines().find_map(|line| {
        let path = line.splitn(3, ':').nth(2)?;
        let last = path.rsplit('/').next()?.trim();
        id_in(last.strip_suffix(".scope").unwrap_or(last))
    })
}

/// The container id at the end of a path element such as `docker-<id>`.
fn id_in(element: &str) -> Option<String> {
    const LONGEST: usize = 64;
    let starts = element.len().saturating_sub(LONGEST)..element.len();
    // The longest match that reaches to the end; runtimes put their name and a separator in front.
    starts
        .filter(|start| element.is_char_boundary(*start))
        .map(|start| element.split_at(start))
        .find(|(before, id)| !before.ends_with(|c: char| c.is_ascii_alphanumeric()) && is_container_id(id))
        .map(|(_, id)| id.to_owned())
}

fn is_container_id(text: &str) -> bool {
    let hex = |part: &str, length: usize| part.len() == length && part.bytes().all(|b| b.is_ascii_hexdigit());
    let parts: Vec<&str> = text.split(['-', '_']).collect();
    match parts[..] {
        [id] => hex(id, 64),
        // Fargate: a task's id and a number.
        [task, number] => hex(task, 32) && !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()),
        // A UUID, or the shorter form of Cloud Foundry.
        [a, b, c, d, e] => hex(a, 8) && [b, c, d].iter().all(|part| hex(part, 4)) && (hex(e, 12) || hex(e, 4)),
        _ => false,
    }
}

/// The directory whose inode identifies the cgroup: version 1 by its memory controller, else version 2.
fn cgroup_directory(cgroups: &str) -> Option<PathBuf> {
    let lines = || cgroups.lines().filter_map(|line| line.split_once(':')?.1.split_once(':'));
    let path = |(_, path): (&str, &str)| path.trim_start_matches('/').to_owned();
    let below = |root: &str, rest: String| Path::new(root).join(rest);
    if let Some(memory) = lines().find(|(controllers, _)| controllers.split(',').any(|c| c == "memory")) {
        return Some(below("/sys/fs/cgroup/memory", path(memory)));
    }
    lines().find(|(controllers, _)| controllers.is_empty()).map(|unified| below("/sys/fs/cgroup", path(unified)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "3726184226f5d3147c25fdeab5b60097e378e8a720503a5e19ecfdf29f869860";

    #[test]
    fn ids_are_found_in_the_forms_that_runtimes_write() {
        let uuid = "34dc0b5e-626f-2c5c-4c51-70e34b10e765";
        let fargate = "34dc0b5e626f2c5c4c5170e34b10e765-1234567890";
        let cloud_foundry = "6f265890-5165-7fab-6b52-18d1";
        for (line, expected) in [
            (format!("13:name=systemd:/docker/{ID}"), ID),
            (format!("0::/system.slice/docker-{ID}.scope"), ID),
            (format!("1:cpu:/kubepods.slice/pod_{uuid}/cri-containerd-{ID}.scope"), ID),
            (format!("1:name=systemd:/kubepods/besteffort/pod3d274242-8ee0-11e9/{ID}"), ID),
            (format!("1:name=systemd:/uuid/{uuid}"), uuid),
            (format!("1:name=systemd:/ecs/34dc0b5e626f2c5c4c5170e34b10e765/{fargate}"), fargate),
            (format!("1:cpu:/system.slice/garden.service/garden/{cloud_foundry}"), cloud_foundry),
        ] {
            assert_eq!(container_id(&line).as_deref(), Some(expected), "{line}");
        }
    }

    #[test]
    fn no_id_is_made_up() {
        for text in [
            "",
            "0::/",
            "no colons",
            "0::/user.slice/user-1000.slice/session-3.scope",
            "0::/init.scope",
            &format!("0::/docker/{ID}/nested.service"),
            &format!("0::/docker/a{ID}"),
            &format!("0::/docker/{}", &ID[1..]),
            "0::/übung-é",
        ] {
            assert_eq!(container_id(text), None, "{text}");
        }
    }

    #[test]
    fn the_first_line_with_an_id_counts() {
        let text = format!("12:cpu:/\n11:memory:/docker/{ID}\n0::/docker/{}\n", ID.replace('3', "4"));
        assert_eq!(container_id(&text).as_deref(), Some(ID));
    }

    #[test]
    fn the_cgroup_directory_is_the_memory_controllers_or_the_unified_one() {
        let mixed = "12:cpu,cpuacct:/a\n7:memory:/b/c\n0::/d\n";
        assert_eq!(cgroup_directory(mixed), Some(PathBuf::from("/sys/fs/cgroup/memory/b/c")));
        assert_eq!(cgroup_directory("0::/d:e\n"), Some(PathBuf::from("/sys/fs/cgroup/d:e")));
        assert_eq!(cgroup_directory("1:name=systemd:/x\n"), None);
    }
}
