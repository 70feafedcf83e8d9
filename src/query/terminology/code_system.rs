//! A code system as it is stored: its concepts, their hierarchy, and which of them are inactive or headings.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::canonical::Canonical;
use super::tables::Tables;
use super::value_set::is_true;
use crate::error::{Error, ErrorKind, Result};

/// All concepts of one version of a code system; they are named by their place in `codes`.
#[derive(Debug)]
pub(super) struct CodeSystem {
    pub(super) id: String,
    pub(super) url: String,
    pub(super) version: Option<String>,
    pub(super) codes: Vec<String>,
    pub(super) displays: Vec<Option<String>>,
    /// A hierarchy of parts is none of meanings: nothing subsumes anything.
    pub(super) parts: bool,
    case_sensitive: bool,
    places: BTreeMap<String, usize>,
    pub(super) parents: Vec<BTreeSet<usize>>,
    pub(super) children: Vec<BTreeSet<usize>>,
    pub(super) inactive: BTreeSet<usize>,
    /// Concepts that order others and are not for use in data: abstract in an expansion.
    pub(super) headings: BTreeSet<usize>,
}

/// A stored code system without its concepts.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub(super) id: String,
    pub(super) url: String,
    pub(super) version: Option<String>,
    content: String,
    case_sensitive: bool,
    parts: bool,
}

impl Stored {
    /// Everything that is stored and is no supplement, of one url or of all.
    pub(super) async fn all(tables: &Tables, url: Option<&str>) -> Result<Vec<Self>> {
        let columns =
            ["code_system_id", "url", "version", "content", "case_sensitive", "hierarchy_meaning"];
        let condition: Vec<_> = url.iter().map(|url| ("url", *url)).collect();
        let rows = tables.rows("code_system", columns, &condition).await?;
        let mut stored: Vec<_> = rows
            .into_iter()
            .map(|[id, url, version, content, case_sensitive, meaning]| Self {
                id: id.unwrap_or_default(),
                url: url.unwrap_or_default(),
                version,
                content: content.unwrap_or_default(),
                // Without a word on it, codes that differ in case are different codes.
                case_sensitive: case_sensitive.as_deref() != Some("false"),
                parts: meaning.as_deref() == Some("part-of"),
            })
            .filter(|stored| stored.content != "supplement")
            .collect();
        stored.sort_by(|a, b| (&a.url, &a.version, &a.id).cmp(&(&b.url, &b.version, &b.id)));
        Ok(stored)
    }

    /// The one that a canonical names.
    ///
    /// Fails with [`ErrorKind::Definition`] as [`Canonical::pick`] does, and if not all concepts are stored.
    pub(super) async fn complete(tables: &Tables, canonical: &Canonical) -> Result<Self> {
        let stored = Self::all(tables, Some(&canonical.url)).await?;
        let stored = stored.into_iter().map(|stored| (stored.version.clone(), stored)).collect();
        let (_, stored) = canonical.pick("code system", "code_system", stored)?;
        if stored.is_complete() {
            return Ok(stored);
        }
        let content = &stored.content;
        let message = format!(
            "the code system `{canonical}` is loaded with the content `{content}`: not all concepts are there"
        );
        Err(Error::new(ErrorKind::Definition, message)
            .hint("load the complete code system, or value sets with their expansions"))
    }

    /// Whether all concepts are there.
    pub(super) fn is_complete(&self) -> bool {
        self.content == "complete"
    }
}

impl CodeSystem {
    /// The code system that a canonical names, with all its concepts. Errors as [`Stored::complete`].
    pub(super) async fn find(tables: &Tables, canonical: &Canonical) -> Result<Self> {
        Self::load(tables, &Stored::complete(tables, canonical).await?).await
    }

    /// The one complete version that is stored, if there is one.
    pub(super) async fn find_loaded(
        tables: &Tables,
        canonical: &Canonical,
    ) -> Result<Option<Self>> {
        if !tables.has("code_system") {
            return Ok(None);
        }
        let mut stored = Stored::all(tables, Some(&canonical.url)).await?;
        stored.retain(|s| {
            s.is_complete() && (canonical.version.is_none() || s.version == canonical.version)
        });
        match &stored[..] {
            [one] => Self::load(tables, one).await.map(Some),
            _ => Ok(None),
        }
    }

    /// Reads the concepts of a stored code system.
    pub(super) async fn load(tables: &Tables, stored: &Stored) -> Result<Self> {
        let id = [("code_system_id", stored.id.as_str())];
        let mut concepts = tables.rows("code_system_concept", ["code", "display"], &id).await?;
        concepts.sort_unstable();
        let mut system = Self {
            id: stored.id.clone(),
            url: stored.url.clone(),
            version: stored.version.clone(),
            case_sensitive: stored.case_sensitive,
            parts: stored.parts,
            codes: Vec::new(),
            displays: Vec::new(),
            places: BTreeMap::new(),
            parents: Vec::new(),
            children: Vec::new(),
            inactive: BTreeSet::new(),
            headings: BTreeSet::new(),
        };
        for [code, display] in concepts {
            system.add(code, display);
        }
        system.parents = vec![BTreeSet::new(); system.codes.len()];
        system.children = system.parents.clone();
        system.read_hierarchy(tables).await?;
        system.read_states(tables).await?;
        Ok(system)
    }

    fn add(&mut self, code: Option<String>, display: Option<String>) {
        let Some(code) = code else { return };
        let key = self.folded(&code);
        if !self.places.contains_key(&key) {
            self.places.insert(key, self.codes.len());
            self.codes.push(code);
            self.displays.push(display);
        }
    }

    /// Nested concepts, and the properties `parent` and `child`.
    async fn read_hierarchy(&mut self, tables: &Tables) -> Result<()> {
        if tables.has("code_system_edge") {
            let id = [("code_system_id", self.id.as_str())];
            for [parent, child] in
                tables.rows("code_system_edge", ["parent_code", "child_code"], &id).await?
            {
                self.connect(parent.as_deref(), child.as_deref());
            }
        }
        for (child, parent) in self.property(tables, "parent").await? {
            self.connect(Some(&parent), Some(&self.codes[child].clone()));
        }
        for (parent, child) in self.property(tables, "child").await? {
            self.connect(Some(&self.codes[parent].clone()), Some(&child));
        }
        Ok(())
    }

    fn connect(&mut self, parent: Option<&str>, child: Option<&str>) {
        let place = |code: Option<&str>| code.and_then(|code| self.place(code));
        let (Some(parent), Some(child)) = (place(parent), place(child)) else { return };
        self.parents[child].insert(parent);
        self.children[parent].insert(child);
    }

    async fn read_states(&mut self, tables: &Tables) -> Result<()> {
        for (place, value) in self.property(tables, "inactive").await? {
            if is_true(Some(&value)) {
                self.inactive.insert(place);
            }
        }
        for (place, value) in self.property(tables, "status").await? {
            if matches!(value.as_str(), "retired" | "inactive") {
                self.inactive.insert(place);
            }
        }
        for (place, value) in self.property(tables, "notSelectable").await? {
            if is_true(Some(&value)) {
                self.headings.insert(place);
            }
        }
        Ok(())
    }

    /// The values of a property, with the concepts that have them.
    pub(super) async fn property(
        &self,
        tables: &Tables,
        name: &str,
    ) -> Result<Vec<(usize, String)>> {
        if !tables.has("code_system_property") {
            return Ok(Vec::new());
        }
        let of = [("code_system_id", self.id.as_str()), ("property", name)];
        let rows = tables.rows("code_system_property", ["code", "value"], &of).await?;
        Ok(rows
            .into_iter()
            .filter_map(|[code, value]| Some((self.place(&code?)?, value?)))
            .collect())
    }

    /// Which concept a code is.
    pub(super) fn place(&self, code: &str) -> Option<usize> {
        self.places.get(&self.folded(code)).copied()
    }

    /// The form in which two codes are compared.
    fn folded(&self, code: &str) -> String {
        if self.case_sensitive { code.to_owned() } else { code.to_lowercase() }
    }

    /// The concepts that can be reached over `edges`, with the shortest distance; the start is at 0. Cycles end.
    pub(super) fn reached(edges: &[BTreeSet<usize>], start: usize) -> BTreeMap<usize, u32> {
        let mut reached = BTreeMap::from([(start, 0)]);
        let mut next = VecDeque::from([(start, 0)]);
        while let Some((place, distance)) = next.pop_front() {
            for further in &edges[place] {
                reached.entry(*further).or_insert_with(|| {
                    next.push_back((*further, distance + 1));
                    distance + 1
                });
            }
        }
        reached
    }

    /// The name for messages: `url|version`.
    pub(super) fn name(&self) -> String {
        Canonical { url: self.url.clone(), version: self.version.clone() }.to_string()
    }
}
