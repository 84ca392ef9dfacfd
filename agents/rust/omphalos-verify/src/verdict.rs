//! What a verification found, for programs and for people (`docs/format/verify.md`, "What the answers mean").
//!
//! Rules of this file: findings are sorted by (id, path) and each pair stands once; what is listed is bounded, what counts for
//! the verdict is not.

use std::collections::{BTreeMap, BTreeSet};

use crate::findings::{Id, NOT_CHECKED, NO_ROOT};
use crate::keys::PublicKey;
use crate::strictjson::write_text;

/// How many findings, and how many unreadable paths, are listed.
const MAX_LISTED: usize = 10_000;

/// What a verification found.
#[derive(Default)]
pub struct Verdict {
    /// Last component of what was named.
    pub subject: String,
    /// As the manifest says, if there is a usable one.
    pub run_id: Option<String>,
    /// How many files were found.
    pub files: u64,
    /// The sum of their recorded sizes, which can exceed 64 bits.
    pub bytes: u128,
    /// The ids of the keys that were given, each once, in order.
    pub keys: Vec<String>,
    /// Those for which something counts.
    pub signed_by: BTreeSet<String>,
    /// Nothing says that the Merkle root of a proof is that of a real run.
    pub no_root: bool,
    findings: BTreeMap<(&'static str, String), (Id, String)>,
    suppressed: u64,
    refused: bool,
    unreadable: BTreeSet<String>,
    incomplete: bool,
}

impl Verdict {
    /// The verdict about a thing of this name, before anything was looked at.
    pub fn new(subject: String, keys: &[PublicKey]) -> Self {
        Verdict {
            subject,
            keys: keys.iter().map(|key| key.id.clone()).collect(),
            ..Verdict::default()
        }
    }

    /// Record a finding.
    pub fn add(&mut self, id: Id, path: &str, detail: &str) {
        self.refused |= id.severity().refuses();
        self.findings
            .entry((id.word(), path.to_owned()))
            .or_insert_with(|| (id, detail.to_owned()));
        if self.findings.len() > MAX_LISTED {
            self.findings.pop_last();
            self.suppressed = self.suppressed.saturating_add(1);
        }
    }

    /// Record a path that could not be read.
    pub fn unreadable(&mut self, path: &str) {
        self.incomplete = true;
        self.unreadable.insert(path.to_owned());
        if self.unreadable.len() > MAX_LISTED {
            self.unreadable.pop_last();
        }
    }

    /// The verdict in a word.
    pub fn word(&self) -> &'static str {
        match (self.refused, self.incomplete || self.no_root) {
            (true, _) => "refused",
            (false, true) => "incomplete",
            (false, false) => "verified",
        }
    }

    /// The exit code that says the same.
    pub fn exit_code(&self) -> u8 {
        match (self.refused, self.incomplete || self.no_root) {
            (true, _) => 1,
            (false, true) => 3,
            (false, false) => 0,
        }
    }

    /// The ids and paths of the listed findings, in order.
    pub fn pairs(&self) -> Vec<(Id, &str)> {
        self.findings
            .iter()
            .map(|((_, path), (id, _))| (*id, path.as_str()))
            .collect()
    }

    /// The `omphalos.verify/1` document.
    pub fn document(&self) -> String {
        let mut out = String::from("{\"schema\":\"omphalos.verify/1\",\"verdict\":");
        write_text(&mut out, self.word());
        out.push_str(",\"checks\":[{\"subject\":");
        write_text(&mut out, &self.subject);
        out.push_str(",\"run_id\":");
        match &self.run_id {
            Some(run_id) => write_text(&mut out, run_id),
            None => out.push_str("null"),
        }
        out.push_str(",\"verdict\":");
        write_text(&mut out, self.word());
        out.push_str(&format!(
            ",\"files\":{},\"bytes\":{},\"findings\":[",
            self.files, self.bytes
        ));
        let mut comma = "";
        for ((word, path), (id, detail)) in &self.findings {
            out.push_str(comma);
            comma = ",";
            out.push_str("{\"id\":");
            write_text(&mut out, word);
            out.push_str(",\"severity\":");
            write_text(&mut out, id.severity().word());
            out.push_str(",\"path\":");
            write_text(&mut out, path);
            out.push_str(",\"detail\":");
            write_text(&mut out, detail);
            out.push('}');
        }
        out.push_str(&format!(
            "],\"suppressed\":{},\"unreadable\":[",
            self.suppressed
        ));
        write_list(&mut out, self.unreadable.iter());
        out.push_str("],\"not_checked\":[");
        comma = "";
        for (word, reason) in self.not_checked() {
            out.push_str(comma);
            comma = ",";
            out.push_str("{\"word\":");
            write_text(&mut out, word);
            out.push_str(",\"reason\":");
            write_text(&mut out, reason);
            out.push('}');
        }
        out.push_str("],\"keys\":[");
        write_list(&mut out, self.keys.iter());
        out.push_str("],\"signed_by\":[");
        write_list(&mut out, self.signed_by.iter());
        out.push_str("]}]}\n");
        out
    }

    /// The words of what this check does not cover, and their sentences.
    fn not_checked(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let signatures = self.keys.is_empty();
        let root = self.no_root.then_some(NO_ROOT);
        let rest = NOT_CHECKED.into_iter();
        root.into_iter()
            .chain(rest.filter(move |(word, _)| signatures || *word != "signatures"))
    }

    /// The verdict for a person: a line, the findings, what was not checked.
    pub fn page(&self) -> String {
        let name = self.run_id.as_deref().unwrap_or(&self.subject);
        let mut out = format!(
            "{} {}: {} files, {} bytes\n",
            self.word().to_uppercase(),
            visible(name),
            self.files,
            self.bytes
        );
        for ((word, path), (id, detail)) in &self.findings {
            out.push_str(&format!(
                "  {} {word} {}",
                id.severity().word(),
                visible(path)
            ));
            if !detail.is_empty() {
                out.push_str(&format!(": {}", visible(detail)));
            }
            out.push('\n');
        }
        if self.suppressed > 0 {
            out.push_str(&format!("  and {} more\n", self.suppressed));
        }
        for path in &self.unreadable {
            out.push_str(&format!("  UNREADABLE {}\n", visible(path)));
        }
        for key in &self.signed_by {
            out.push_str(&format!("  SIGNED BY {key}\n"));
        }
        out.push_str("  NOT CHECKED:\n");
        for (word, reason) in self.not_checked() {
            out.push_str(&format!("    {word}: {reason}\n"));
        }
        out
    }
}

fn write_list<'t>(out: &mut String, texts: impl Iterator<Item = &'t String>) {
    let mut comma = "";
    for text in texts {
        out.push_str(comma);
        comma = ",";
        write_text(out, text);
    }
}

/// Show text so that it cannot steer a terminal: what is not printable, or turns the direction of writing, is escaped.
pub fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let hidden = matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}');
        if c.is_control() || hidden {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    out
}
