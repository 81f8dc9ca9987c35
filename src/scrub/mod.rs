//! Hides secrets before they leave: in command lines (here), in addresses ([`url`], [`query`]) and in SQL ([`sql`]).
//!
//! What is hidden in command lines, and by what it is recognised:
//!
//! - values of names that announce a secret (`names`): `--password=x`, `--password x`, `PASSWORD=x`, `?token=x`,
//!   `"password": "x"`, `X-Api-Key: x`;
//! - what short options of some programs carry (`clients`): `mysql -px`, `curl -u name:x`, `sshpass -p x`;
//! - names and passwords in addresses: `https://name:x@host`;
//! - whole `Authorization` and `Cookie` headers, and what follows `Bearer`;
//! - tokens of known shape (`tokens`) and PEM blocks, wherever they stand.
//!
//! In doubt between a secret shown and a word too many hidden, the word is hidden; but the ordinary lines of a build
//! stay as they are, byte for byte. Not recognised: secrets without any mark, such as the second word of
//! `htpasswd -b FILE NAME PASSWORD`.
//!
//! In-process code: no allocation, no reachable panic, time linear in the length of the argument.

mod clients;
mod cursor;
mod names;
mod pieces;
pub mod query;
pub mod redis;
mod scan;
pub mod sql;
mod tokens;
pub mod url;
mod value;

pub use pieces::{Pieces, REDACTED, Scrubbed};

use clients::Client;

/// Scrubs one command line, argument by argument, beginning with `argv[0]`.
#[derive(Clone, Debug)]
pub struct ArgScrubber {
    /// What the next argument is, if the one before said so.
    next: Next,
    /// Whether the program to run has not been named yet.
    expects_command: bool,
    /// Whether a program was named that runs another one.
    runs_another: bool,
    /// Whether a program was named that has a subcommand `login`.
    logs_in: bool,
    /// Whether the program is a shell.
    shell: bool,
    /// The letters of the program's options that announce a secret.
    client: Client,
    /// Whether a PEM block began in an earlier argument and has not ended.
    inside_pem: bool,
}

/// What an argument is because of the one before it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Next {
    /// Nothing special.
    Anything,
    /// The value of an option that announces a secret.
    Secret,
    /// `NAME: VALUE`, as `curl -H` takes it.
    Header,
    /// Commands for a shell.
    Commands,
}

impl Default for ArgScrubber {
    fn default() -> Self {
        Self::new()
    }
}

impl ArgScrubber {
    /// Ready for the first argument of a command line.
    #[must_use]
    pub const fn new() -> Self {
        ArgScrubber {
            next: Next::Anything,
            expects_command: true,
            runs_another: false,
            logs_in: false,
            shell: false,
            client: Client::NONE,
            inside_pem: false,
        }
    }

    /// Scrubs the next argument. An argument may be cut before it is handed in; half of a secret is hidden like a
    /// whole one, unless it is known only by its shape.
    #[must_use]
    pub fn scrub<'a>(&mut self, arg: &'a [u8]) -> Scrubbed<'a> {
        let mut scrubbed = Scrubbed::unchanged(arg);
        let next = core::mem::replace(&mut self.next, Next::Anything);
        let start = if self.inside_pem { scan::end_of_pem(arg) } else { Some(0) };
        self.inside_pem = start.is_none();
        match start {
            None => scrubbed.hide_rest(0),
            Some(0) if next == Next::Secret && scan::is_value(arg) => {
                if !names::is_plain_value(arg) {
                    scrubbed.hide_rest(0);
                }
            }
            Some(start) => {
                scrubbed.hide(0, start);
                scan::Scan::new(self, arg, next, &mut scrubbed).run(start);
                if self.next == Next::Anything {
                    self.next = self.announced_by(arg);
                }
            }
        }
        scrubbed
    }

    /// What a whole argument says about the next one, secrets apart.
    fn announced_by(&self, arg: &[u8]) -> Next {
        match arg {
            b"-H" | b"--header" | b"--proxy-header" => Next::Header,
            // `-c`, `-lc`, `-exc`: the letters of a shell's options may be bundled.
            [b'-', letters @ .., b'c'] if self.shell && letters.iter().all(u8::is_ascii_alphabetic) => Next::Commands,
            _ => Next::Anything,
        }
    }

    /// Takes note of a word that is no option: it may be the program that is run.
    fn on_word(&mut self, word: &[u8]) {
        let name = crate::elf::base_name(word);
        if let Some(client) = Client::of_login(name, self.logs_in) {
            self.client = client;
            self.expects_command = false;
        } else if self.expects_command {
            // `NAME=VALUE` and the numbers of `timeout 5 PROGRAM` come before the program.
            if word.contains(&b'=') || (self.runs_another && name.first().is_some_and(u8::is_ascii_digit)) {
                return;
            }
            self.client = Client::of(name);
            self.logs_in |= clients::logs_in(name);
            self.shell |= clients::is_shell(name);
            self.expects_command = clients::runs_another(name);
            self.runs_another |= self.expects_command;
        } else if self.runs_another {
            // What was taken for the program may have been an option's value: `sudo -u joe mysql`.
            self.shell |= clients::is_shell(name);
            if Client::of(name) != Client::NONE {
                self.client = Client::of(name);
            }
        }
    }

    /// A command of a shell's text ended, another one may follow.
    fn on_command_end(&mut self) {
        self.expects_command = true;
        self.runs_another = false;
        self.logs_in = false;
        self.client = Client::NONE;
    }
}

#[cfg(test)]
mod tests;
