//! GatewayClasses: which are ours, and what they claim.
//!
//! A class with our controller name is ours and gets `Accepted` and `SupportedVersion`. One with a `parametersRef` is not
//! accepted (`InvalidParameters`) as long as no kind of parameters is read, and neither are its Gateways. In file mode
//! a class `fairlead` is implied.

use crate::Settings;
use crate::status::{Condition, ConditionType, Fault, GatewayClassStatus, Reason, observed};
use fairlead_crds::gateway::GatewayClass;
use fairlead_store::{Key, World};
use imbl::OrdMap;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The class that file mode implies.
pub(crate) const IMPLIED: &str = "fairlead";

/// The CRDs' minor version whose types these are.
const BUNDLE: &str = "v1.7.";

/// Our classes by name, with what is wrong with them.
#[derive(Default)]
pub(crate) struct Classes {
    ours: BTreeMap<Arc<str>, Option<Fault>>,
    pub status: OrdMap<Key, Arc<GatewayClassStatus>>,
}

impl Classes {
    pub fn of(world: &World, settings: &Settings) -> Self {
        let mut classes = Classes::default();
        let mut implied = settings.implicit_class;
        for (key, class) in world.all::<GatewayClass>().iter() {
            implied &= &*key.name != IMPLIED;
            if *class.spec.controller_name != *settings.controller_name {
                continue;
            }
            let fault = class.spec.parameters_ref.as_ref().map(|reference| {
                let message =
                    format!("{} {} is no kind of parameters that is read; remove it", reference.kind, reference.name);
                Fault::new(Reason::InvalidParameters, "spec.parametersRef", message)
            });
            classes.status.insert(key.clone(), Arc::new(status(class, fault.as_ref(), settings)));
            classes.ours.insert(key.name.clone(), fault);
        }
        if implied {
            classes.ours.insert(IMPLIED.into(), None);
        }
        classes
    }

    /// The class of a name, when it is ours: `Some(fault)`.
    pub fn get(&self, name: &str) -> Option<Option<&Fault>> {
        self.ours.get(name).map(Option::as_ref)
    }

    /// Names of ours, for messages.
    pub fn names(&self) -> String {
        self.ours.keys().map(|name| &**name).collect::<Vec<_>>().join(", ")
    }
}

fn status(class: &GatewayClass, fault: Option<&Fault>, settings: &Settings) -> GatewayClassStatus {
    let foreign = settings.bundle_version.as_deref().filter(|version| !version.starts_with(BUNDLE));
    let version = match foreign {
        None => Condition::new(
            ConditionType::SupportedVersion,
            true,
            Reason::SupportedVersion,
            "The installed CRDs are of Gateway API v1.7",
        ),
        Some(version) => {
            let message =
                format!("The installed CRDs are of {version}, which is served as well as v1.7 allows; install v1.7");
            Condition::new(ConditionType::SupportedVersion, false, Reason::UnsupportedVersion, message)
        }
    };
    let accepted = Condition::of(ConditionType::Accepted, fault, Reason::Accepted, "Served by Fairlead");
    GatewayClassStatus {
        conditions: observed(vec![accepted, version], class.metadata.generation),
        supported_features: settings.features.to_vec(),
    }
}
