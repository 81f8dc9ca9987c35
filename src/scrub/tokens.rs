//! Secrets that are known by their shape, wherever they stand.

/// A beginning, and the least number of letters and digits (and, where it says so, of `-`, `_`, `.`) behind it.
struct Shape {
    beginning: &'static [u8],
    at_least: usize,
    separators: bool,
}

const fn plain(beginning: &'static [u8], at_least: usize) -> Shape {
    Shape { beginning, at_least, separators: false }
}

const fn with_separators(beginning: &'static [u8], at_least: usize) -> Shape {
    Shape { beginning, at_least, separators: true }
}

/// The formats that their issuers document so that they can be found.
const SHAPES: [Shape; 26] = [
    plain(b"ghp_", 30),
    plain(b"gho_", 30),
    plain(b"ghu_", 30),
    plain(b"ghs_", 30),
    plain(b"ghr_", 30),
    with_separators(b"github_pat_", 22),
    with_separators(b"glpat-", 20),
    with_separators(b"gldt-", 20),
    with_separators(b"glrt-", 20),
    with_separators(b"glptt-", 20),
    with_separators(b"xoxb-", 10),
    with_separators(b"xoxp-", 10),
    with_separators(b"xoxa-", 10),
    with_separators(b"xoxr-", 10),
    with_separators(b"xoxs-", 10),
    plain(b"sk_live_", 16),
    plain(b"sk_test_", 16),
    plain(b"rk_live_", 16),
    with_separators(b"sk-ant-", 16),
    with_separators(b"sk-proj-", 16),
    plain(b"sk-", 40),
    with_separators(b"AIza", 35),
    plain(b"npm_", 36),
    with_separators(b"pypi-AgE", 16),
    plain(b"hf_", 30),
    with_separators(b"hvs.", 20),
];

/// AWS's key ids: four letters and sixteen capitals or digits, nothing more.
const AWS: [&[u8]; 2] = [b"AKIA", b"ASIA"];

/// The longest header of a JSON web token that is looked for.
const HEADER_MAX: usize = 1024;

/// Shorter than every token.
const RUN_MIN: usize = 15;

/// Where in a run of letters, digits, `-`, `_` and `.` a token begins, if there is one.
pub(super) fn find(run: &[u8]) -> Option<usize> {
    // Nearly every run ends here.
    if run.len() < RUN_MIN {
        return None;
    }
    let mut before = b'-';
    run.iter().enumerate().find_map(|(at, &byte)| {
        let starts_word = !before.is_ascii_alphanumeric();
        before = byte;
        (starts_word && is_token(run.get(at..)?)).then_some(at)
    })
}

fn is_token(text: &[u8]) -> bool {
    if !text.first().is_some_and(|first| b"Aeghnprsx".contains(first)) {
        return false;
    }
    if text.starts_with(b"ey") {
        return is_json_web_token(text);
    }
    let aws = AWS.iter().find_map(|beginning| text.strip_prefix(*beginning));
    if let Some(rest) = aws {
        return rest.iter().take_while(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit()).count() == 16;
    }
    SHAPES.iter().any(|shape| {
        text.strip_prefix(shape.beginning).is_some_and(|rest| {
            let fits =
                |byte: &&u8| byte.is_ascii_alphanumeric() || (shape.separators && matches!(byte, b'-' | b'_' | b'.'));
            rest.iter().take_while(fits).count() >= shape.at_least
        })
    })
}

/// `header.payload.signature`, the header being base64 of a JSON object: `{"` is `eyJ`, other first letters `eyI` to
/// `eyL`.
fn is_json_web_token(text: &[u8]) -> bool {
    let Some([b'I'..=b'L', rest @ ..]) = text.strip_prefix(b"ey") else { return false };
    let near = rest.get(..HEADER_MAX).unwrap_or(rest);
    let mut parts = near.split(|&byte| byte == b'.');
    parts.next().is_some_and(|header| header.len() >= 8) && parts.next().is_some_and(|payload| payload.len() >= 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_found() {
        for (run, at) in [
            ("ghp_0123456789abcdefghijABCDEFGHIJ012345", 0),
            ("x-ghp_0123456789abcdefghijABCDEFGHIJ012345", 2),
            ("glpat-abcdefghij0123456789", 0),
            ("AKIAIOSFODNN7EXAMPLE", 0),
            ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc_def-ghi", 0),
            ("xoxb-1234567890-abc", 0),
        ] {
            assert_eq!(find(run.as_bytes()), Some(at), "{run}");
        }
    }

    #[test]
    fn words_that_begin_alike_are_none() {
        for run in [
            "ghp_short",
            "npm_config_registry",
            "npm_lifecycle_event_of_a_very_long_script_name",
            "sk-learn",
            "AKIAS",
            "AKIAIOSFODNN7EXAMPLES",
            "eyJson.h",
            "eyelash",
            "xghp_0123456789abcdefghijABCDEFGHIJ012345",
            "hf_hub",
            "",
        ] {
            assert_eq!(find(run.as_bytes()), None, "{run}");
        }
    }
}
