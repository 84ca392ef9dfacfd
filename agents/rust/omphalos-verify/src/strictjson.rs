//! Strict JSON (`docs/format/manifest.md`, `docs/format/verify.md`): one reading, or one finding.
//!
//! Rules of this file: UTF-8 without byte order mark or carriage return; numbers are integers 0 to 2^53-1; no key twice;
//! no lone surrogate; nesting up to 64; one value and white space behind it. The first fault in the order of the text is
//! the one reported. Text is borrowed from the input where it holds no escape, so memory is a small multiple of the input.

use std::borrow::Cow;
use std::collections::HashSet;

use crate::findings::Id;

/// How many arrays and objects may stand inside each other.
pub const MAX_DEPTH: usize = 64;
/// The largest integer.
pub const MAX_INT: u64 = (1 << 53) - 1;
/// Up to this many keys are compared one by one; beyond it, looked up in a set.
const FEW: usize = 16;

/// A value; objects keep their members in the order of the text.
#[derive(Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// An integer.
    Int(u64),
    /// Text.
    Text(Cow<'a, str>),
    /// A list.
    List(Vec<Value<'a>>),
    /// An object; no key stands twice.
    Object(Vec<(Cow<'a, str>, Value<'a>)>),
}

impl<'a> Value<'a> {
    /// The member of this name, if this is an object that has it.
    pub fn get(&self, name: &str) -> Option<&Value<'a>> {
        match self {
            Value::Object(members) => members.iter().find(|(key, _)| key == name).map(|(_, v)| v),
            _ => None,
        }
    }

    /// The text, if this is one.
    pub fn text(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// Parse a whole text.
///
/// # Errors
/// The finding of the first fault.
pub fn parse(data: &[u8], max_bytes: usize) -> Result<Value<'_>, Id> {
    if data.len() > max_bytes {
        return Err(Id::JsonTooLarge);
    }
    if data.starts_with(b"\xef\xbb\xbf") {
        return Err(Id::JsonEncoding);
    }
    let text = std::str::from_utf8(data).map_err(|_| Id::JsonEncoding)?;
    if data.contains(&b'\r') {
        return Err(Id::JsonEncoding);
    }
    let mut reader = Reader { text, at: 0 };
    let value = reader.value(0)?;
    reader.space();
    match reader.peek() {
        None => Ok(value),
        Some(_) => Err(Id::JsonEncoding),
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n')) {
            self.at += 1;
        }
    }

    /// Step over `word` if it stands here.
    fn take(&mut self, word: &str) -> bool {
        let here = self
            .text
            .as_bytes()
            .get(self.at..)
            .is_some_and(|rest| rest.starts_with(word.as_bytes()));
        if here {
            self.at += word.len();
        }
        here
    }

    fn value(&mut self, depth: usize) -> Result<Value<'a>, Id> {
        self.space();
        match self.peek() {
            Some(b'"') => Ok(Value::Text(self.string()?)),
            Some(b'0'..=b'9') => self.number(),
            Some(b'[' | b'{') if depth >= MAX_DEPTH => Err(Id::JsonEncoding),
            Some(b'[') => self.list(depth),
            Some(b'{') => self.object(depth),
            Some(b'-') => {
                let after = self.text.as_bytes().get(self.at + 1).copied();
                if matches!(after, Some(b'0'..=b'9')) || self.take("-Infinity") {
                    return Err(Id::JsonNumber);
                }
                Err(Id::JsonSyntax)
            }
            _ if self.take("true") => Ok(Value::Bool(true)),
            _ if self.take("false") => Ok(Value::Bool(false)),
            _ if self.take("null") => Ok(Value::Null),
            _ if self.take("NaN") || self.take("Infinity") => Err(Id::JsonNumber),
            _ => Err(Id::JsonSyntax),
        }
    }

    fn number(&mut self) -> Result<Value<'a>, Id> {
        let start = self.at;
        while matches!(
            self.peek(),
            Some(b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-')
        ) {
            self.at += 1;
        }
        let raw = self.text.get(start..self.at).ok_or(Id::JsonNumber)?;
        let plain = raw == "0" || (raw.len() <= 16 && !raw.starts_with('0'));
        if !plain || !raw.bytes().all(|b| b.is_ascii_digit()) {
            return Err(Id::JsonNumber);
        }
        match raw.parse::<u64>() {
            Ok(number) if number <= MAX_INT => Ok(Value::Int(number)),
            _ => Err(Id::JsonNumber),
        }
    }

    fn list(&mut self, depth: usize) -> Result<Value<'a>, Id> {
        self.at += 1;
        let mut items = Vec::new();
        self.space();
        if self.take("]") {
            return Ok(Value::List(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            self.space();
            if self.take("]") {
                items.shrink_to_fit();
                return Ok(Value::List(items));
            }
            if !self.take(",") {
                return Err(Id::JsonSyntax);
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Value<'a>, Id> {
        self.at += 1;
        let mut members: Vec<(Cow<'a, str>, Value<'a>)> = Vec::new();
        let mut seen: HashSet<Cow<'a, str>> = HashSet::new();
        self.space();
        if self.take("}") {
            return Ok(Value::Object(members));
        }
        loop {
            self.space();
            if self.peek() != Some(b'"') {
                return Err(Id::JsonSyntax);
            }
            let key = self.string()?;
            let repeated = if members.len() < FEW {
                members.iter().any(|(other, _)| *other == key)
            } else {
                if seen.is_empty() {
                    seen.extend(members.iter().map(|(other, _)| other.clone()));
                }
                !seen.insert(key.clone())
            };
            if repeated {
                return Err(Id::JsonDuplicateKey);
            }
            self.space();
            if !self.take(":") {
                return Err(Id::JsonSyntax);
            }
            let value = self.value(depth + 1)?;
            members.push((key, value));
            self.space();
            if self.take("}") {
                members.shrink_to_fit();
                return Ok(Value::Object(members));
            }
            if !self.take(",") {
                return Err(Id::JsonSyntax);
            }
        }
    }

    /// Read a string whose opening quote stands here. Its form is judged before its surrogates.
    fn string(&mut self) -> Result<Cow<'a, str>, Id> {
        self.at += 1;
        let start = self.at;
        let bytes = self.text.as_bytes();
        let mut escaped = false;
        loop {
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    match bytes.get(self.at + 1) {
                        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                            self.at += 2
                        }
                        Some(b'u') => {
                            let digits = bytes.get(self.at + 2..self.at + 6);
                            if !digits.is_some_and(|d| d.iter().all(u8::is_ascii_hexdigit)) {
                                return Err(Id::JsonSyntax);
                            }
                            self.at += 6;
                        }
                        _ => return Err(Id::JsonSyntax),
                    }
                }
                Some(0..=0x1f) | None => return Err(Id::JsonSyntax),
                Some(_) => self.at += 1,
            }
        }
        let raw = self.text.get(start..self.at).ok_or(Id::JsonSyntax)?;
        self.at += 1;
        if escaped {
            unescape(raw).map(Cow::Owned)
        } else {
            Ok(Cow::Borrowed(raw))
        }
    }
}

/// Resolve the escapes of a string that is well formed.
fn unescape(raw: &str) -> Result<String, Id> {
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((plain, after)) = rest.split_once('\\') {
        text.push_str(plain);
        let (unit, after) = escape(after).ok_or(Id::JsonSyntax)?;
        rest = after;
        let code = match unit {
            0xd800..=0xdbff => {
                let (low, after) = rest
                    .strip_prefix('\\')
                    .and_then(escape)
                    .filter(|(low, _)| (0xdc00..=0xdfff).contains(low))
                    .ok_or(Id::JsonEncoding)?;
                rest = after;
                0x10000 + ((unit & 0x3ff) << 10) + (low & 0x3ff)
            }
            _ => unit,
        };
        text.push(char::from_u32(code).ok_or(Id::JsonEncoding)?);
    }
    text.push_str(rest);
    Ok(text)
}

/// Read what stands behind a backslash: the code unit it means, and what follows.
fn escape(after: &str) -> Option<(u32, &str)> {
    let mut chars = after.chars();
    let unit = match chars.next()? {
        'b' => 8,
        'f' => 12,
        'n' => 10,
        'r' => 13,
        't' => 9,
        'u' => {
            let (digits, rest) = after.split_at_checked(5)?;
            return Some((
                u32::from_str_radix(digits.strip_prefix('u')?, 16).ok()?,
                rest,
            ));
        }
        other => u32::from(other),
    };
    Some((unit, chars.as_str()))
}

/// Say whether `data` is the one spelling of `value`: keys in code point order, two spaces of indent, one newline.
pub fn is_canonical(value: &Value<'_>, data: &[u8]) -> bool {
    let mut writer = Comparer { rest: data };
    writer.value(value, 1) && writer.put("\n") && writer.rest.is_empty()
}

/// Writes by comparing with what is expected, so that nothing is held twice.
struct Comparer<'d> {
    rest: &'d [u8],
}

impl Comparer<'_> {
    fn put(&mut self, text: &str) -> bool {
        match self.rest.strip_prefix(text.as_bytes()) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn line(&mut self, indent: usize) -> bool {
        self.put("\n") && (0..indent).all(|_| self.put("  "))
    }

    fn value(&mut self, value: &Value<'_>, indent: usize) -> bool {
        match value {
            Value::Null => self.put("null"),
            Value::Bool(true) => self.put("true"),
            Value::Bool(false) => self.put("false"),
            Value::Int(number) => self.put(&number.to_string()),
            Value::Text(text) => self.text(text),
            Value::List(items) if items.is_empty() => self.put("[]"),
            Value::List(items) => {
                let mut lead = "[";
                for item in items {
                    if !(self.put(lead) && self.line(indent) && self.value(item, indent + 1)) {
                        return false;
                    }
                    lead = ",";
                }
                self.line(indent.saturating_sub(1)) && self.put("]")
            }
            Value::Object(members) if members.is_empty() => self.put("{}"),
            Value::Object(members) => {
                if !members.is_sorted_by(|(a, _), (b, _)| a < b) {
                    return false;
                }
                let mut lead = "{";
                for (key, item) in members {
                    if !(self.put(lead)
                        && self.line(indent)
                        && self.text(key)
                        && self.put(": ")
                        && self.value(item, indent + 1))
                    {
                        return false;
                    }
                    lead = ",";
                }
                self.line(indent.saturating_sub(1)) && self.put("}")
            }
        }
    }

    fn text(&mut self, text: &str) -> bool {
        if !self.put("\"") {
            return false;
        }
        let special = |c: char| c < ' ' || c == '"' || c == '\\';
        let mut rest = text;
        while let Some((plain, found, after)) = rest
            .find(special)
            .and_then(|at| rest.split_at_checked(at))
            .and_then(|(plain, tail)| {
                let mut chars = tail.chars();
                chars.next().map(|found| (plain, found, chars.as_str()))
            })
        {
            if !(self.put(plain) && self.escaped(found)) {
                return false;
            }
            rest = after;
        }
        self.put(rest) && self.put("\"")
    }

    fn escaped(&mut self, found: char) -> bool {
        match found {
            '"' => self.put("\\\""),
            '\\' => self.put("\\\\"),
            '\u{8}' => self.put("\\b"),
            '\u{c}' => self.put("\\f"),
            '\n' => self.put("\\n"),
            '\r' => self.put("\\r"),
            '\t' => self.put("\\t"),
            other => self.put(&format!("\\u{:04x}", u32::from(other))),
        }
    }
}

/// Append `text` to `out` as a JSON string.
pub fn write_text(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c < ' ' || c == '\u{7f}' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
}
