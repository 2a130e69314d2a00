//! `tollgate top` on a terminal of 80 x 24, by `script` of util-linux.

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use tempfile::TempDir;
use tollgate_testkit::gateway::DataDir;
use tollgate_testkit::process::eventually;

use crate::support::binary;

const COLUMNS: usize = 80;
const ROWS: usize = 24;

/// What runs there: the settings of the terminal are noted before and after.
const SCRIPT: &str = "\
stty rows 24 cols 80 && stty -g >before && tty >tty
sh -c 'echo $$ >pid && exec \"$TOP\" top --data \"$DATA\"'
echo $? >code; stty -g >after";

pub(super) struct Terminal {
    child: Child,
    notes: TempDir,
    /// Everything that was written to it.
    written: Arc<Mutex<Vec<u8>>>,
}

impl Terminal {
    /// Starts to look at the gateway of a data directory.
    pub(super) fn top(data: &DataDir) -> Self {
        let notes = tempfile::tempdir().unwrap();
        let mut child = Command::new("script")
            .args([
                "--quiet",
                "--flush",
                "--return",
                "--command",
                SCRIPT,
                "/dev/null",
            ])
            .current_dir(notes.path())
            .envs([("TERM", "xterm-256color"), ("SHELL", "/bin/sh")])
            .env("TOP", binary())
            .env("DATA", data.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("`script` of util-linux");
        let mut output = child.stdout.take().unwrap();
        let written = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&written);
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = output.read(&mut bytes) {
                kept.lock().unwrap().extend_from_slice(&bytes[..count]);
            }
        });
        Terminal {
            child,
            notes,
            written,
        }
    }

    /// Waits until a line has this in it.
    pub(super) fn shows(&self, text: &str) {
        self.shows_line(text, |line| line.contains(text));
    }

    /// Waits until there is a line as it is wanted.
    pub(super) fn shows_line(&self, what: &str, wanted: impl Fn(&str) -> bool) {
        eventually(&format!("a line of the screen: {what}"), || {
            let screen = screen(&self.written());
            screen.iter().any(|line| wanted(line)).then_some(())
        });
    }

    /// Waits until no line has this in it.
    pub(super) fn shows_no(&self, text: &str) {
        eventually(&format!("{text} to vanish"), || {
            let screen = screen(&self.written());
            screen.iter().all(|line| !line.contains(text)).then_some(())
        });
    }

    pub(super) fn keys(&mut self, keys: &str) {
        self.child
            .stdin
            .as_mut()
            .unwrap()
            .write_all(keys.as_bytes())
            .unwrap();
    }

    /// Makes it so many columns wide.
    pub(super) fn resize(&self, columns: usize) {
        let columns = columns.to_string();
        let args = ["-F", self.note("tty").trim(), "cols", &columns].map(str::to_owned);
        assert!(Command::new("stty").args(args).status().unwrap().success());
    }

    /// Sends SIGTERM to the program on it.
    pub(super) fn terminate(&self) {
        let killed = Command::new("kill").arg(self.note("pid").trim()).status();
        assert!(killed.unwrap().success());
    }

    /// Waits until the program has ended with this code.
    pub(super) fn was_left_as_it_was(mut self, code: i32) {
        let ended = eventually("the program to end", || self.child.try_wait().unwrap());
        assert!(ended.success(), "{}", self.written());
        assert_eq!(
            self.note("code").trim(),
            code.to_string(),
            "{}",
            self.written()
        );
        assert_eq!(self.note("before"), self.note("after"));
        eventually(
            "the other screen to be left and the cursor to be shown",
            || {
                let written = self.written();
                let last = |shows: &str, hides: &str| written.rfind(shows) > written.rfind(hides);
                (last("\u{1b}[?1049l", "\u{1b}[?1049h") && last("\u{1b}[?25h", "\u{1b}[?25l"))
                    .then_some(())
            },
        );
    }

    fn note(&self, name: &str) -> String {
        std::fs::read_to_string(self.notes.path().join(name)).unwrap()
    }

    fn written(&self) -> String {
        String::from_utf8_lossy(&self.written.lock().unwrap()).into_owned()
    }
}

impl Drop for Terminal {
    /// Without `script` the terminal is gone, and what runs on it hears of that.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let written = self.written();
            eprintln!(
                "--- on the terminal\n{}\n--- written\n{written:?}",
                screen(&written).join("\n")
            );
        }
    }
}

/// What stands on the screen after all this was written, as far as a program that moves the cursor, writes and clears
/// needs it.
fn screen(written: &str) -> Vec<String> {
    let mut cells = vec![vec![' '; COLUMNS]; ROWS];
    let (mut row, mut column) = (0, 0);
    let mut chars = written.chars();
    while let Some(char) = chars.next() {
        match char {
            '\u{1b}' => {
                // Sequences of other kinds are two characters long.
                if chars.next() != Some('[') {
                    continue;
                }
                let mut sequence = String::new();
                let last = chars.by_ref().find(|char| {
                    sequence.push(*char);
                    ('@'..='~').contains(char)
                });
                match last {
                    Some('H') => {
                        let mut place = sequence
                            .trim_end_matches('H')
                            .split(';')
                            .map(|number| number.parse().unwrap_or(1));
                        row = place.next().unwrap_or(1_usize).saturating_sub(1);
                        column = place.next().unwrap_or(1_usize).saturating_sub(1);
                    }
                    Some('J') => cells = vec![vec![' '; COLUMNS]; ROWS],
                    _ => {}
                }
            }
            '\r' => column = 0,
            '\n' => row += 1,
            _ => {
                if let Some(cell) = cells.get_mut(row).and_then(|row| row.get_mut(column)) {
                    *cell = char;
                }
                column += 1;
            }
        }
    }
    cells.into_iter().map(String::from_iter).collect()
}
