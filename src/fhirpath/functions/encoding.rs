//! FHIRPath, section "Additional String Functions": `encode decode escape unescape`.

use std::fmt::Write;

use super::{Function, Gives, Scope};
use crate::fhirpath::eval::{Call, Evaluated, fail};
use crate::fhirpath::expr::System;

const STRING: Gives = Gives::System(System::String);

pub(super) static FUNCTIONS: &[Function] = &[
    Function { name: "encode", arity: 1..=1, scope: Scope::Outer, gives: STRING, call: encode },
    Function { name: "decode", arity: 1..=1, scope: Scope::Outer, gives: STRING, call: decode },
    Function { name: "escape", arity: 1..=1, scope: Scope::Outer, gives: STRING, call: escape },
    Function { name: "unescape", arity: 1..=1, scope: Scope::Outer, gives: STRING, call: unescape },
];

fn encode<'a>(call: &Call<'a, '_>) -> Evaluated<'a> {
    let Some((text, format)) = call.pair()? else { return Ok(&[]) };
    let encoded = match format {
        "hex" => text.bytes().fold(String::new(), |mut hex, b| {
            // Writing into a String cannot fail.
            let _ = write!(hex, "{b:02x}");
            hex
        }),
        "base64" => base64(text.as_bytes(), STANDARD),
        "urlbase64" => base64(text.as_bytes(), URL),
        "ascii" => text.chars().map(|c| if c.is_ascii() { c } else { '?' }).collect(),
        _ => return fail(call.span, "the formats are `hex`, `base64`, `urlbase64` and `ascii`"),
    };
    Ok(call.cx.one(call.cx.string(&encoded)))
}

/// What is no such encoding, or not of valid text, is empty.
fn decode<'a>(call: &Call<'a, '_>) -> Evaluated<'a> {
    let Some((text, format)) = call.pair()? else { return Ok(&[]) };
    let bytes = match format {
        "hex" => from_hex(text),
        "base64" => from_base64(text, STANDARD),
        "urlbase64" => from_base64(text, URL),
        _ => return fail(call.span, "the formats are `hex`, `base64` and `urlbase64`"),
    };
    let decoded = bytes.and_then(|b| String::from_utf8(b).ok());
    Ok(decoded.map_or(&[], |text| call.cx.one(call.cx.string(&text))))
}

const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

fn base64(bytes: &[u8], alphabet: &[u8; 64]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits =
            group.iter().fold(0u32, |bits, b| bits << 8 | u32::from(*b)) << (8 * (3 - group.len()));
        for i in 0..4 {
            let sextet = alphabet[(bits >> (18 - 6 * i)) as usize & 63];
            text.push(if i <= group.len() { char::from(sextet) } else { '=' });
        }
    }
    text
}

fn from_base64(text: &str, alphabet: &[u8; 64]) -> Option<Vec<u8>> {
    let sextets = text.trim_end_matches('=').as_bytes();
    if !text.len().is_multiple_of(4) || text.len() - sextets.len() > 2 {
        return None;
    }
    let mut bytes = Vec::with_capacity(sextets.len() * 3 / 4);
    for group in sextets.chunks(4) {
        let mut bits = 0u32;
        for symbol in group {
            bits = bits << 6 | alphabet.iter().position(|a| a == symbol)? as u32;
        }
        bits <<= 6 * (4 - group.len());
        bytes.extend_from_slice(&bits.to_be_bytes()[1..group.len()]);
    }
    Some(bytes)
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |b: u8| char::from(b).to_digit(16);
    let pair = |p: &[u8]| Some((digit(p[0])? * 16 + digit(*p.get(1)?)?) as u8);
    text.as_bytes().chunks(2).map(pair).collect()
}

/// Characters and the entities that stand for them in HTML.
const ENTITIES: [(char, &str); 5] =
    [('&', "&amp;"), ('<', "&lt;"), ('>', "&gt;"), ('"', "&quot;"), ('\'', "&#39;")];

fn escape<'a>(call: &Call<'a, '_>) -> Evaluated<'a> {
    let Some((text, target)) = call.pair()? else { return Ok(&[]) };
    let escaped = match target {
        "html" => text.chars().fold(String::new(), |mut html, c| {
            match ENTITIES.iter().find(|(plain, _)| *plain == c) {
                Some((_, entity)) => html.push_str(entity),
                None => html.push(c),
            }
            html
        }),
        "json" => {
            let quoted = serde_json::Value::from(text).to_string();
            quoted[1..quoted.len() - 1].to_owned()
        }
        _ => return fail(call.span, TARGETS),
    };
    Ok(call.cx.one(call.cx.string(&escaped)))
}

/// What is no valid JSON string is empty.
fn unescape<'a>(call: &Call<'a, '_>) -> Evaluated<'a> {
    let Some((text, target)) = call.pair()? else { return Ok(&[]) };
    let plain = match target {
        // `&` last, so that `&amp;lt;` is `&lt;`.
        "html" => Some(
            ENTITIES
                .iter()
                .rev()
                .fold(text.to_owned(), |html, (c, entity)| html.replace(entity, &c.to_string())),
        ),
        "json" => serde_json::from_str::<String>(&format!("\"{text}\"")).ok(),
        _ => return fail(call.span, TARGETS),
    };
    Ok(plain.map_or(&[], |text| call.cx.one(call.cx.string(&text))))
}

const TARGETS: &str = "the targets are `html` and `json`";
