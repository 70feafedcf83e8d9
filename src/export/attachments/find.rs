//! Finds attachments in the text of a resource, by place: what is not one of them stays as it is, byte for byte.

use std::ops::Range;

use serde::de::IgnoredAny;

/// An Attachment (FHIR, "Attachment") that is elsewhere: it has a `url` and no `data`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// `url`, as written.
    pub(super) url: String,
    /// Of `"url": "…"` in the text.
    pub(super) member: Range<usize>,
    /// Of its value.
    pub(super) value: Range<usize>,
    /// `contentType`
    pub(super) content_type: Option<String>,
    /// Of the value of `size`.
    pub(super) size: Option<Range<usize>>,
    /// `hash`: SHA-1, base64.
    pub(super) hash: Option<String>,
}

/// All attachments of a resource, in the order of the text. None of a text that is not JSON.
pub(super) fn attachments(text: &[u8]) -> Vec<Found> {
    // The walk trusts the text, and its depth.
    if memchr::memmem::find(text, b"\"url\"").is_none()
        || serde_json::from_slice::<IgnoredAny>(text).is_err()
    {
        return Vec::new();
    }
    let mut walk = Walk { text, at: 0, found: Vec::new() };
    let _ = walk.value(b"");
    walk.found.sort_by_key(|found| found.member.start);
    walk.found
}

/// Elements of Attachment, in R4 and R5.
const ELEMENTS: [&[u8]; 15] = [
    b"id",
    b"extension",
    b"contentType",
    b"language",
    b"data",
    b"url",
    b"size",
    b"hash",
    b"title",
    b"creation",
    b"height",
    b"width",
    b"frames",
    b"duration",
    b"pages",
];

/// Elements whose type is Attachment; others are called `…Attachment` (`valueAttachment`, `contentAttachment`).
const NAMES: [&[u8]; 4] = [b"attachment", b"content", b"photo", b"presentedForm"];

struct Walk<'t> {
    text: &'t [u8],
    at: usize,
    found: Vec<Found>,
}

struct Member {
    /// Without quotes.
    name: Range<usize>,
    value: Range<usize>,
}

/// `None` at an unexpected end.
type Step<T> = Option<T>;

impl<'t> Walk<'t> {
    /// The value of the element `name`, or one of its values.
    fn value(&mut self, name: &'t [u8]) -> Step<Range<usize>> {
        self.blanks();
        let start = self.at;
        match self.text.get(start)? {
            b'{' => self.object(name)?,
            b'[' => self.array(name)?,
            b'"' => self.string()?,
            _ => {
                let ends =
                    |byte: &u8| matches!(byte, b',' | b']' | b'}') || byte.is_ascii_whitespace();
                let length = self.text[start..].iter().position(ends);
                self.at = length.map_or(self.text.len(), |length| start + length);
            }
        }
        Some(start..self.at)
    }

    fn array(&mut self, name: &'t [u8]) -> Step<()> {
        self.at += 1;
        loop {
            self.blanks();
            match self.text.get(self.at)? {
                b']' => break,
                b',' => self.at += 1,
                _ => {
                    self.value(name)?;
                }
            }
        }
        self.at += 1;
        Some(())
    }

    fn object(&mut self, name: &'t [u8]) -> Step<()> {
        self.at += 1;
        let mut members = Vec::new();
        loop {
            self.blanks();
            match self.text.get(self.at)? {
                b'}' => break,
                b'"' => members.push(self.member()?),
                _ => self.at += 1,
            }
        }
        self.at += 1;
        self.found.extend(self.attachment(name, &members));
        Some(())
    }

    fn member(&mut self) -> Step<Member> {
        let start = self.at + 1;
        self.string()?;
        let name = start..self.at - 1;
        self.blanks();
        self.at += 1; // The colon.
        let value = self.value(&self.text[name.clone()])?;
        Some(Member { name, value })
    }

    fn string(&mut self) -> Step<()> {
        self.at += 1;
        loop {
            self.at += memchr::memchr2(b'"', b'\\', self.text.get(self.at..)?)?;
            let quote = self.text[self.at] == b'"';
            self.at += if quote { 1 } else { 2 };
            if quote {
                return Some(());
            }
        }
    }

    fn blanks(&mut self) {
        while self.text.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
    }

    /// The object as an attachment, by its elements, and by its name or its `contentType`: extensions have a `url` too.
    fn attachment(&self, name: &[u8], members: &[Member]) -> Option<Found> {
        let name_of = |member: &Member| &self.text[member.name.clone()];
        let known = |member: &Member| {
            let name = name_of(member);
            ELEMENTS.contains(&name.strip_prefix(b"_").unwrap_or(name))
        };
        let get = |name: &[u8]| members.iter().find(|member| name_of(member) == name);
        let text = |name| {
            let value = &self.text[get(name)?.value.clone()];
            serde_json::from_slice::<String>(value).ok()
        };
        let content_type = text(b"contentType");
        let named = NAMES.contains(&name) || name.ends_with(b"Attachment");
        if !members.iter().all(known)
            || get(b"data").is_some()
            || !(named || content_type.is_some())
        {
            return None;
        }
        let place = get(b"url")?;
        Some(Found {
            url: text(b"url")?,
            member: place.name.start - 1..place.value.end,
            value: place.value.clone(),
            content_type,
            size: get(b"size").map(|size| size.value.clone()),
            hash: text(b"hash"),
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn attachments_and_nothing_else() {
        for (text, expected) in [
            (
                r#"{"content":[{"attachment":{"contentType":"text/plain","url":"a"}},{"attachment":{"url":"b"}}]}"#,
                &["a", "b"][..],
            ),
            (r#"{"resourceType":"Media","content":{"url":"a\u002fb","size":3}}"#, &["a/b"]),
            (r#"{ "presentedForm" : [ { "url" : "a" , "title" : "\"}" } ] }"#, &["a"]),
            (r#"{"photo":[{"url":"a","data":"eA=="}]}"#, &[]),
            (r#"{"extension":[{"url":"x","valueAttachment":{"url":"a","_url":{}}}]}"#, &["a"]),
            (r#"{"item":{"contentType":"a/b","url":"a"}}"#, &["a"]),
            (r#"{"url":"http://example.org","contentType":"x","name":"y"}"#, &[]),
            (r#"{"extension":[{"url":"x","extension":[]}]}"#, &[]),
            (r#"{"photo":[{"title":"x"}]}"#, &[]),
            (r#"{"photo":[{"url":7}]}"#, &[]),
            (r#"{"photo":[{"url":"a"}"#, &[]),
            ("", &[]),
        ] {
            let found = attachments(text.as_bytes());
            let urls: Vec<_> = found.iter().map(|found| found.url.as_str()).collect();
            assert_eq!(urls, expected, "{text}");
            for found in found {
                assert!(text[found.member.clone()].starts_with("\"url\""), "{text}");
                assert!(text[found.member].ends_with(&text[found.value]), "{text}");
            }
        }
    }
}
