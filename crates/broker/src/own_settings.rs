//! Changes of a broker's own settings, before the controller decides on them. Two things only the
//! broker itself knows: that it is the one that was meant, and which directories it has.

use strandline_config::{Overrides, Refusal, Scope, alter};
use strandline_metadata::image::{ConfigResource, ResourceType};

use crate::cx::{Cx, ListenerRole};

/// Whether this node has nothing against the settings that `after` makes of a resource's present
/// ones. On a controller's listener it never has: whoever asks there has no broker at hand.
pub(crate) fn judge(
    cx: &Cx,
    (resource_type, name): (i8, &str),
    after: impl FnOnce(&Overrides) -> Result<Overrides, Refusal>,
) -> Result<(), Refusal> {
    let is_brokers = Scope::from_resource_type(resource_type) == Some(Scope::Broker);
    if !is_brokers || name.is_empty() || cx.session.role == ListenerRole::Controller {
        return Ok(());
    }
    let own = cx.handles.identity.node_id;
    if name.parse() != Ok(own.get()) {
        return Err(Refusal::InvalidRequest(format!(
            "this is broker {own}: settings of broker {name} are changed there"
        )));
    }
    let image = cx.handles.image();
    let resource = ConfigResource::new(ResourceType(resource_type), name);
    alter::validate_directories(&cx.handles.config, &after(image.configs.overrides(&resource))?)
}
