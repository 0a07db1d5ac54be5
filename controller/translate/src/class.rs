//! GatewayClasses: which are ours, and what they claim.
//!
//! A class with our controller name is ours and gets `Accepted` and `SupportedVersion`. One whose `parametersRef` names no valid
//! ProxyClass is not accepted (`InvalidParameters`), and neither are its Gateways. In file mode a class `fairlead` is
//! implied.

use crate::status::{Condition, ConditionType, Fault, GatewayClassStatus, Reason, observed};
use crate::{Settings, features, fleet};
use fairlead_crds::gateway::{GatewayClass, ParametersReference};
use fairlead_crds::v1alpha1::ProxyClassSpec;
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
pub(crate) struct Classes<'w> {
    ours: BTreeMap<Arc<str>, Class<'w>>,
    pub status: OrdMap<Key, Arc<GatewayClassStatus>>,
}

/// One of our classes.
#[derive(Default)]
pub(crate) struct Class<'w> {
    /// Why it is not accepted.
    pub fault: Option<Fault>,
    /// What its ProxyClass says.
    pub parameters: Option<&'w ProxyClassSpec>,
    /// The same, right or wrong.
    pub stated: Option<&'w ProxyClassSpec>,
}

impl<'w> Classes<'w> {
    pub fn of(world: &'w World, settings: &Settings) -> Self {
        let mut classes = Classes::default();
        let mut implied = settings.implicit_class;
        for (key, class) in world.all::<GatewayClass>().iter() {
            implied &= &*key.name != IMPLIED;
            if *class.spec.controller_name != *settings.controller_name {
                continue;
            }
            let reference = class.spec.parameters_ref.as_ref();
            let stated = reference.and_then(|reference| stated(world, reference));
            let mut ours = Class { stated, ..Class::default() };
            match reference.map(|reference| parameters(world, reference)) {
                Some(Ok(parameters)) => ours.parameters = Some(parameters),
                Some(Err(fault)) => ours.fault = Some(fault),
                None => {}
            }
            classes.status.insert(key.clone(), Arc::new(status(class, ours.fault.as_ref(), settings)));
            classes.ours.insert(key.name.clone(), ours);
        }
        if implied {
            classes.ours.insert(IMPLIED.into(), Class::default());
        }
        classes
    }

    /// The class of a name, when it is ours.
    pub fn get(&self, name: &str) -> Option<&Class<'w>> {
        self.ours.get(name)
    }

    /// Names of ours, for messages.
    pub fn names(&self) -> String {
        self.ours.keys().map(|name| &**name).collect::<Vec<_>>().join(", ")
    }
}

fn stated<'w>(world: &'w World, reference: &ParametersReference) -> Option<&'w ProxyClassSpec> {
    let key = Key::new(reference.namespace.as_deref()?, reference.name.as_str());
    fleet::stated(world, (&reference.group, &reference.kind), &key)
}

fn parameters<'w>(world: &'w World, reference: &ParametersReference) -> Result<&'w ProxyClassSpec, Fault> {
    const PATH: &str = "spec.parametersRef";
    let namespace = reference.namespace.as_deref().unwrap_or_default();
    let key = Key::new(namespace, reference.name.as_str());
    let found = fleet::resolve(world, (&reference.group, &reference.kind), &key, PATH);
    match &found {
        Err(_) if namespace.is_empty() && reference.kind == "ProxyClass" => {
            let message = "a ProxyClass lives in a namespace; say which";
            Err(Fault::new(Reason::InvalidParameters, format!("{PATH}.namespace"), message))
        }
        _ => found,
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
        supported_features: settings
            .features
            .iter()
            .filter(|name| features::is_there(name, settings))
            .cloned()
            .collect(),
    }
}
