//! Changes of a broker's own settings, before the controller decides on them. Two things only the
//! broker itself knows: that it is the one that was meant, and which directories it has.

use strandline_config::{Overrides, Refusal, Scope, alter};
use strandline_metadata::image::{ConfigResource, ResourceType};

use crate::cx::{Cx, ListenerRole};

/// A resource with the settings that are asked for it.
pub(crate) trait Alteration {
    /// Its refusal.
    type Answer;

    fn resource(&self) -> (i8, &str);

    /// A broker's settings with the changes.
    ///
    /// # Errors
    /// When they cannot be.
    fn after(&self, current: &Overrides) -> Result<Overrides, Refusal>;

    fn refused(self, refusal: &Refusal) -> Self::Answer;
}

/// Takes out what this node is against, and answers it.
pub(crate) fn refuse<A: Alteration>(cx: &Cx, asked: &mut Vec<A>) -> Vec<A::Answer> {
    let mut answers = Vec::new();
    for alteration in std::mem::take(asked) {
        match judge(cx, &alteration) {
            Ok(()) => asked.push(alteration),
            Err(refusal) => answers.push(alteration.refused(&refusal)),
        }
    }
    answers
}

/// Whether this node has nothing against it. On a controller's listener it never has: whoever asks
/// there has no broker at hand.
fn judge(cx: &Cx, alteration: &impl Alteration) -> Result<(), Refusal> {
    let (resource_type, name) = alteration.resource();
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
    let after = alteration.after(image.configs.overrides(&resource))?;
    alter::validate_directories(&cx.handles.config, &after)
}
