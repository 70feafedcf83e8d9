//! What tells a resource, and a version of it, from others.

use simd_json::Node;

use super::line::Resource;

/// Says of a resource which one it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Identity<'a> {
    /// `id`
    pub id: Option<&'a str>,
    /// `meta.lastUpdated`, as written.
    pub last_updated: Option<&'a str>,
    /// Whether `meta.tag` says that it is not whole (FHIR R4, "Subsetted").
    pub subsetted: bool,
}

impl<'a> Resource<'a> {
    /// Which one it is. Of members with one name the last counts.
    pub fn identity(&self) -> Identity<'a> {
        let mut identity = Identity::default();
        for (key, value) in members(self.nodes, self.root) {
            match key {
                "id" => identity.id = text(self.nodes[value]),
                "meta" => {
                    (identity.last_updated, identity.subsetted) = (None, false);
                    meta(self.nodes, value, &mut identity);
                }
                _ => {}
            }
        }
        identity
    }
}

fn meta<'a>(nodes: &'a [Node<'a>], at: usize, identity: &mut Identity<'a>) {
    for (key, value) in members(nodes, at) {
        match key {
            "lastUpdated" => identity.last_updated = text(nodes[value]),
            "tag" => {
                identity.subsetted = elements(nodes, value).any(|tag| is_subsetted(nodes, tag));
            }
            _ => {}
        }
    }
}

/// The code is so unlike others that servers which leave its system out are understood too.
fn is_subsetted<'a>(nodes: &'a [Node<'a>], tag: usize) -> bool {
    members(nodes, tag).any(|(key, value)| key == "code" && text(nodes[value]) == Some("SUBSETTED"))
}

fn text(node: Node<'_>) -> Option<&str> {
    match node {
        Node::String(text) => Some(text),
        _ => None,
    }
}

/// Names and places of the members of an object; none of what is no object.
pub(super) fn members<'a>(
    nodes: &'a [Node<'a>],
    object: usize,
) -> impl Iterator<Item = (&'a str, usize)> {
    let count = match nodes[object] {
        Node::Object { len, .. } => len,
        _ => 0,
    };
    let mut key = object + 1;
    (0..count).filter_map(move |_| {
        let at = key;
        key = after(nodes, at + 1);
        text(nodes[at]).map(|name| (name, at + 1))
    })
}

/// Places of the elements of an array; none of what is no array.
fn elements<'a>(nodes: &'a [Node<'a>], array: usize) -> impl Iterator<Item = usize> {
    let count = match nodes[array] {
        Node::Array { len, .. } => len,
        _ => 0,
    };
    let mut next = array + 1;
    (0..count).map(move |_| {
        let at = next;
        next = after(nodes, at);
        at
    })
}

/// Index of what follows the value at `at`.
pub(super) fn after(nodes: &[Node<'_>], at: usize) -> usize {
    match nodes[at] {
        Node::Object { count, .. } | Node::Array { count, .. } => at + count + 1,
        Node::String(_) | Node::Static(_) => at + 1,
    }
}
