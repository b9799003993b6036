//! The expression that decides whether a dependency is ready.

use std::sync::Arc;

use serde_json::Value;

use crate::domain::expression::Expression;

/// The variables: the dependency, and the release that depends on it.
const VARIABLES: [&str; 2] = ["dep", "self"];

/// An expression over `dep`, the dependency, and `self`, the release. Clones share it.
#[derive(Clone, Debug)]
pub struct ReadyExpression(Arc<Expression>);

impl ReadyExpression {
    /// Parses it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let expression = Expression::parse(text).map_err(|error| error.to_string())?;
        for path in expression.fields() {
            let path = path.to_string();
            let variable = path.split(['.', '[']).next().unwrap_or_default();
            if !VARIABLES.contains(&variable) {
                return Err(format!("there is no variable {variable}; the variables are dep and self"));
            }
        }
        Ok(Self(Arc::new(expression)))
    }

    /// Whether it holds for a dependency and the release.
    ///
    /// # Errors
    /// Why it has no answer.
    pub fn holds(&self, dependency: &Value, release: &Value) -> Result<bool, String> {
        let [dep, this] = VARIABLES;
        self.0.holds(&[(dep, dependency), (this, release)]).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_expression_is_about_the_dependency_and_the_release() {
        let check = |text: &str, expected: Result<bool, &str>| {
            let dependency = json!({"status": {"phase": "Up", "revision": "7"}});
            let release = json!({"metadata": {"labels": {"wants": "7"}}});
            let found = ReadyExpression::parse(text).and_then(|parsed| parsed.holds(&dependency, &release));
            assert_eq!(found.as_ref().map_err(String::as_str), expected.as_ref().map_err(|e| *e), "{text}");
        };
        check("dep.status.phase == 'Up'", Ok(true));
        check("dep.status.phase == 'Down'", Ok(false));
        check("dep.status.revision == self.metadata.labels.wants", Ok(true));
        check("dep.status.nodes.all(n, n.ready)", Err("there is no dep.status.nodes"));
        check("dep.status.phase", Err("the result is string, not bool"));
        check(
            "object.status.phase == 'Up'",
            Err("there is no variable object; the variables are dep and self"),
        );
        check(
            "dep.status.phase ==",
            Err("Syntax error: mismatched input '<EOF>' expecting expression at character 20"),
        );
    }
}
