//! What the nodes of a quorum may say: WORLD-22 and WORLD-23.

use std::collections::BTreeMap;

use strandline_metadata::Image;
use strandline_metadata::image::ConfigResource;
use strandline_types::Offset;

use super::Oracle;

/// What is known of the metadata.
#[derive(Default)]
pub(super) struct MetadataHistory {
    /// Things of which it was acked that they have settings.
    registered: Vec<ConfigResource>,
    /// What every image says that ends at this offset.
    images: BTreeMap<Offset, Vec<String>>,
}

impl Oracle {
    /// It was acked that `resource` has settings, for good.
    pub fn registered(&mut self, resource: ConfigResource) {
        self.acked += 1;
        self.metadata.registered.push(resource);
    }

    /// How many changes have been acked.
    pub fn registered_count(&self) -> usize {
        self.metadata.registered.len()
    }

    /// What a node says that has heard of the first `count` changes.
    pub fn check_registered(&mut self, node: usize, image: &Image, count: usize) {
        let all = &self.metadata.registered[..count];
        let is_lost = |it: &&ConfigResource| image.configs.settings(it).is_none();
        let mut lost = all.iter().filter(is_lost);
        if let Some(first) = lost.next() {
            let count = 1 + lost.count();
            let detail = format!("node {node}: {count} acked changes lost, the first {first:?}");
            self.violate("WORLD-22", detail);
        }
    }

    /// Two images of one offset are the same.
    pub fn check_image(&mut self, node: usize, image: &Image) {
        let Some(offset) = image.offset.filter(|_| !image.in_transaction()) else { return };
        let said: Vec<_> = image.snapshot().iter().map(|record| format!("{record:?}")).collect();
        let known = self.metadata.images.entry(offset).or_insert_with(|| said.clone());
        if *known == said {
            return;
        }
        let what = match said.iter().zip(&*known).find(|(mine, other)| mine != other) {
            Some((mine, other)) => format!("{mine}, another {other}"),
            None => format!("{} things, another {}", said.len(), known.len()),
        };
        self.violate("WORLD-23", format!("node {node} at {offset} says {what}"));
    }
}
