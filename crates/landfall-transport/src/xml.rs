//! XML documents as objects (R3.23): attributes as `@name`, text as `#text`, repeated elements as lists. Feature `xml`.
//!
//! Owns the form. Resolves no external entity and no document type, and limits the depth.

use crate::{Error, ErrorKind, Result};
use landfall_core::{Record, Value};
use quick_xml::{
    Reader, XmlVersion,
    events::{BytesStart, Event},
};

/// How deep elements may nest.
const DEPTH: usize = 128;

fn bad(message: &'static str) -> Error {
    Error::new(ErrorKind::Undecodable, message)
}

fn opened(start: &BytesStart<'_>) -> Result<(String, Record)> {
    let name = start.name().as_ref().to_owned();
    let mut element = Record::new();
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|source| bad("an attribute is not well formed").caused_by(source))?;
        let value = attribute
            .normalized_value(XmlVersion::Implicit1_0)
            .map_err(|source| bad("an attribute is not well formed").caused_by(source))?;
        element.set(format!("@{}", attribute.key.as_ref()), value.as_ref());
    }
    Ok((name, element))
}

/// Hangs a finished element into its parent: the second of a name makes a list.
fn hang(parent: &mut Record, name: &str, element: Record) {
    match parent.get_mut(name) {
        Some(Value::Array(items)) => std::sync::Arc::make_mut(items).push(element.into()),
        Some(slot) => {
            let first = std::mem::take(slot);
            *slot = Value::array([first, element.into()]);
        }
        None => drop(parent.set(name, element)),
    }
}

/// The object form of a document; the root element's name is its only member.
///
/// # Errors
/// [`ErrorKind::Undecodable`] when the text is not well formed, [`ErrorKind::Limit`] when elements nest too deep.
pub fn decode(text: &str) -> Result<Value> {
    let mut reader = Reader::from_str(text);
    let mut open: Vec<(String, Record)> = Vec::new();
    let mut root: Option<(String, Record)> = None;
    // Text and references to characters arrive in pieces.
    let mut piece: Option<String> = None;
    loop {
        let event = reader.read_event().map_err(|source| bad("the document is not well formed").caused_by(source))?;
        if !matches!(event, Event::Text(_) | Event::GeneralRef(_))
            && let Some(text) = piece.take()
            && let Some((_, parent)) = open.last_mut()
        {
            parent.set("#text", text);
        }
        match event {
            Event::Start(start) => {
                if open.len() >= DEPTH {
                    return Err(Error::new(ErrorKind::Limit, "elements nest too deep"));
                }
                if open.is_empty() && root.is_some() {
                    return Err(bad("the document has two root elements"));
                }
                open.push(opened(&start)?);
            }
            Event::Empty(start) => {
                let (name, element) = opened(&start)?;
                match open.last_mut() {
                    Some((_, parent)) => hang(parent, &name, element),
                    None if root.is_none() => root = Some((name, element)),
                    None => return Err(bad("the document has two root elements")),
                }
            }
            Event::End(_) => {
                let Some((name, element)) = open.pop() else { return Err(bad("an element ends that never began")) };
                match open.last_mut() {
                    Some((_, parent)) => hang(parent, &name, element),
                    None => root = Some((name, element)),
                }
            }
            Event::Text(text) => {
                piece.get_or_insert_default().push_str(&text.xml10_content());
            }
            Event::GeneralRef(reference) => {
                let known = match reference.resolve_char_ref() {
                    Ok(Some(c)) => Some(c.to_string()),
                    Ok(None) => quick_xml::escape::resolve_xml_entity(&reference).map(str::to_owned),
                    Err(source) => return Err(bad("a reference is not well formed").caused_by(source)),
                };
                piece.get_or_insert_default().push_str(&known.ok_or_else(|| bad("an entity is not known"))?);
            }
            Event::CData(text) => {
                if let Some((_, parent)) = open.last_mut() {
                    parent.set("#text", text.xml10_content().as_ref());
                }
            }
            Event::Eof => break,
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
        }
    }
    match root {
        Some((name, element)) if open.is_empty() => Ok(Record::from([(name.as_str(), Value::from(element))]).into()),
        _ => Err(bad("the document is not complete")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_become_objects() {
        for (text, json) in [
            (
                r#"<?xml version="1.0"?><a n="9"><b kind="x"><n>1</n></b><b kind="y"><n>2 &lt; &#51;</n></b></a>"#,
                r##"{"a":{"@n":"9","b":[{"@kind":"x","n":{"#text":"1"}},{"@kind":"y","n":{"#text":"2 < 3"}}]}}"##,
            ),
            ("<a><![CDATA[<x>]]></a>", r##"{"a":{"#text":"<x>"}}"##),
            ("<a/>", r#"{"a":{}}"#),
            ("<a b='1 &amp; 2'><c/><c/><c/></a>", r#"{"a":{"@b":"1 & 2","c":[{},{},{}]}}"#),
        ] {
            assert_eq!(decode(text).unwrap().to_json(), json);
        }
    }

    #[test]
    fn what_is_no_document_is_refused() {
        for text in ["", "hello", "<a>", "<a></b>", "</a>", "<a/><b/>", "<a>&who;</a>", "<a b></a>"] {
            assert!(decode(text).is_err(), "{text}");
        }
        let bomb = r#"<!DOCTYPE a [<!ENTITY b "bb"><!ENTITY c "&b;&b;">]><a>&c;</a>"#;
        assert!(decode(bomb).is_err());
        assert_eq!(*decode(&"<a>".repeat(100_000)).unwrap_err().kind(), ErrorKind::Limit);
    }
}
