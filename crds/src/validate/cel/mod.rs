//! CEL rules (`x-kubernetes-validations`), evaluated as an API server does.
//!
//! Each rule is compiled when first used, once per process. A rule that compares with an earlier state (`oldSelf`) holds
//! for a new object.

use std::sync::{Arc, LazyLock};

use ::cel::common::types::{CelBool, CelString};
use ::cel::common::value::CowVal;
use ::cel::context::VariableResolver;
use ::cel::{Context, Env, Program, Value};

use crate::schema::Rule;

mod functions;
mod tree;

pub(super) use tree::Tree;

/// What a rule said.
pub(super) enum Outcome {
    /// The value is fine.
    Holds,
    /// It is not: this is why.
    Broken(String),
    /// It could not be evaluated, which counts as broken.
    Failed(String),
}

/// A compiled rule, or why it does not compile.
#[derive(Debug)]
pub(crate) struct Compiled {
    rule: Result<Program, String>,
    message: Option<Program>,
}

impl Compiled {
    /// Compiles a rule.
    pub(crate) fn new(rule: &Rule) -> Self {
        let message = rule.message_expression.as_deref();
        Self {
            rule: ENV.compile(&rule.rule).map_err(|error| error.to_string()),
            message: message.and_then(|text| ENV.compile(text).ok()),
        }
    }

    /// Why the rule does not compile.
    #[cfg(test)]
    pub(crate) fn error(&self) -> Option<&str> {
        self.rule.as_ref().err().map(String::as_str)
    }
}

/// Evaluates a rule on a value.
pub(super) fn check(rule: &Rule, value: &Tree<'_>) -> Outcome {
    if rule.is_transition() {
        return Outcome::Holds;
    }
    let compiled = rule.compiled();
    let program = match &compiled.rule {
        Ok(program) => program,
        Err(error) => return Outcome::Failed(format!("rule does not compile: {error}")),
    };
    let itself = Itself(value);
    let mut context = Context::with_env(Arc::clone(&ENV));
    context.set_variable_resolver(&itself);
    match Value::resolve_val(program.expression(), &context) {
        Ok(result) => match result.downcast_ref::<CelBool>().map(|holds| *holds.inner()) {
            Some(true) => Outcome::Holds,
            Some(false) => Outcome::Broken(message(rule, compiled, &context)),
            None => Outcome::Failed(format!("rule is not a condition: {}", rule.rule)),
        },
        Err(error) => Outcome::Failed(format!("{}: {error}", message(rule, compiled, &context))),
    }
}

/// What the rule's author wants to be said, else the rule itself.
fn message(rule: &Rule, compiled: &Compiled, context: &Context<'_, '_>) -> String {
    if let Some(program) = &compiled.message
        && let Ok(text) = Value::resolve_val(program.expression(), context)
        && let Some(text) = text.downcast_ref::<CelString>()
    {
        return text.inner().to_owned();
    }
    match &rule.message {
        Some(message) => message.to_string(),
        None => format!("failed rule: {}", rule.rule.trim()),
    }
}

/// Resolves `self`.
struct Itself<'a>(&'a Tree<'a>);

impl VariableResolver for Itself<'_> {
    fn resolve<'b>(&'b self, variable: &str) -> Option<CowVal<'b, 'b>> {
        (variable == "self").then(|| CowVal::Borrowed(self.0.val()))
    }
}

static ENV: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(functions::env()));

#[cfg(test)]
mod tests;
