//! Classic groups, one file per operation. The name of an API is the name of its file.

pub(crate) mod context;
pub(crate) mod delete_group;
pub(crate) mod describe_group;
pub(crate) mod expire_offsets;
pub(crate) mod heartbeat;
pub(crate) mod join_group;
pub(crate) mod leave_group;
pub(crate) mod list_groups;
pub(crate) mod offset_commit;
pub(crate) mod offset_delete;
pub(crate) mod offset_fetch;
pub(crate) mod rebalance;
pub(crate) mod sync_group;
pub(crate) mod timers;
pub(crate) mod topics_deleted;
pub(crate) mod txn_offset_commit;

use alloc::collections::BTreeMap;
use alloc::string::String;

use crate::groups::group::Group;

/// All groups of a shard, by id.
pub(crate) type Groups = BTreeMap<String, Group>;
