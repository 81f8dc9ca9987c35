//! Programs whose short options carry secrets.
//!
//! A lone `-p` means a port, a profile or "make parents" nearly everywhere, so the letters count only behind the
//! programs that are known to read a secret there.

/// The letters that announce a secret; zeros fill up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Client {
    /// In the same word: `-pSECRET`.
    glued: [u8; 3],
    /// In the next word: `-p SECRET`.
    separate: [u8; 3],
    /// Whether `--user` and `--proxy-user` have a password behind a colon.
    long_user: bool,
}

impl Client {
    /// A program without such letters.
    pub(super) const NONE: Client = Client::new(*b"\0\0\0", *b"\0\0\0");
    /// `docker login` and the like.
    const LOGIN: Client = Client::new(*b"p\0\0", *b"p\0\0");

    const fn new(glued: [u8; 3], separate: [u8; 3]) -> Self {
        Client { glued, separate, long_user: false }
    }

    /// The program of this base name; [`Client::NONE`] if it is none of those.
    pub(super) fn of(name: &[u8]) -> Self {
        match name {
            // Here `-p SECRET` is a database, not a password.
            b"mysql" | b"mysqldump" | b"mysqladmin" | b"mysqlimport" | b"mysqlcheck" | b"mysqlshow" | b"mysqlpump"
            | b"mariadb" | b"mariadb-dump" | b"mariadb-admin" | b"mariadb-import" | b"mariadb-check" | b"7z"
            | b"7za" | b"7zz" | b"7zr" => Client::new(*b"p\0\0", *b"\0\0\0"),
            b"sshpass" | b"mongo" | b"mongosh" | b"mongodump" | b"mongorestore" | b"mongoexport" | b"mongoimport" => {
                Client::new(*b"p\0\0", *b"p\0\0")
            }
            b"redis-cli" | b"valkey-cli" => Client::new(*b"a\0\0", *b"a\0\0"),
            b"curl" => Client { long_user: true, ..Client::new(*b"uUb", *b"uUb") },
            b"ldapsearch" | b"ldapadd" | b"ldapmodify" | b"ldapdelete" | b"ldapwhoami" => {
                Client::new(*b"w\0\0", *b"w\0\0")
            }
            b"sqlcmd" | b"bcp" | b"tsql" | b"zip" | b"unzip" | b"ipmitool" => Client::new(*b"P\0\0", *b"P\0\0"),
            b"smbclient" => Client::new(*b"U\0\0", *b"U\0\0"),
            _ => Client::NONE,
        }
    }

    /// The client that a subcommand of `program` is: `docker login -p SECRET`, where `docker run -p` is a port.
    pub(super) fn of_login(name: &[u8], logs_in: bool) -> Option<Self> {
        (logs_in && name == b"login").then_some(Client::LOGIN)
    }

    /// How many bytes of the option (dash and letter) stand before a secret that is glued to it.
    pub(super) fn glued(self, word: &[u8]) -> Option<usize> {
        match word {
            [b'-', letter, _, ..] if *letter != 0 && self.glued.contains(letter) => Some(2),
            _ => None,
        }
    }

    /// Whether the word behind this option is a secret. Letters may be bundled: `curl -su NAME:PASSWORD`.
    pub(super) fn separate(self, word: &[u8]) -> bool {
        if self.long_user && matches!(word, b"--user" | b"--proxy-user") {
            return true;
        }
        match word {
            [b'-', b'-', ..] => false,
            [b'-', letters @ .., last] => {
                *last != 0 && self.separate.contains(last) && letters.iter().all(u8::is_ascii_alphabetic)
            }
            _ => false,
        }
    }
}

/// Programs that run another one: any of the words behind them may be a client.
pub(super) fn runs_another(name: &[u8]) -> bool {
    const WRAPPERS: &[u8] =
        b"sudo,doas,su,runuser,env,nice,ionice,nohup,time,timeout,setsid,stdbuf,chroot,xargs,watch,\
exec,command,docker,podman,nerdctl,kubectl,oc,ssh,docker-compose,unshare,nsenter,ddtrace-run,strace,chronic,parallel,\
sshpass";
    WRAPPERS.split(|&byte| byte == b',').any(|wrapper| wrapper == name)
}

/// Programs with a subcommand `login` that takes a password as `-p`.
pub(super) fn logs_in(name: &[u8]) -> bool {
    matches!(name, b"docker" | b"podman" | b"nerdctl" | b"buildah" | b"skopeo" | b"az" | b"helm" | b"oc")
}

/// Programs whose `-c` is followed by a text of commands.
pub(super) fn is_shell(name: &[u8]) -> bool {
    matches!(name, b"sh" | b"bash" | b"dash" | b"zsh" | b"ksh" | b"ash" | b"fish" | b"busybox" | b"su")
}
