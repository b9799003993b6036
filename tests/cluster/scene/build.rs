//! How a scene is built: the operator's rights and options, the registry, and where
//! the releases have their artifacts.

use std::sync::OnceLock;

use supercargo_testbed::operator::{Operator, Options};
use supercargo_testbed::{Account, Profile, Registry, Story};

/// The program under test.
pub const BINARY: &str = env!("CARGO_BIN_EXE_supercargo");

/// The plain registry that the tests of this process share. Repositories are
/// named after the stories' namespaces.
pub fn registry() -> &'static Registry {
    static REGISTRY: OnceLock<Registry> = OnceLock::new();
    REGISTRY.get_or_init(Registry::plain)
}

/// A story with its operator and its registry.
pub struct Scene<'a> {
    // In this order they end.
    pub operator: Operator,
    own_registry: Option<Registry>,
    pub account: Account,
    pub story: Story<'a>,
    options: Options,
    pub(super) retry_interval: Option<&'static str>,
}

/// What a scene will be. Every option has a default, see [`Scene::begin`].
pub struct SceneBuilder<'a> {
    story: Story<'a>,
    profile: Profile,
    chart_values: Option<Vec<String>>,
    others: Vec<String>,
    arguments: Vec<String>,
    own_registry: Option<Registry>,
    retry_interval: Option<&'static str>,
}

impl Scene<'static> {
    /// A scene as most stories need it: a ready operator that watches the story's
    /// namespace under the profile of the run, and the registry that all share, where
    /// each release has a repository of its own.
    pub async fn begin(name: &str) -> Scene<'static> {
        Scene::builder(name).await.start()
    }

    /// The same, with something different: see the options of [`SceneBuilder`].
    pub async fn builder(name: &str) -> SceneBuilder<'static> {
        Scene::of(Story::begin(name).await)
    }
}

impl<'a> Scene<'a> {
    /// A builder for a story that has begun: one on a cluster of its own, or one that
    /// does something before its operator starts.
    pub fn of(story: Story<'a>) -> SceneBuilder<'a> {
        SceneBuilder {
            story,
            profile: Profile::of_run(),
            chart_values: None,
            others: Vec::new(),
            arguments: Vec::new(),
            own_registry: None,
            retry_interval: Some("1s"),
        }
    }

    /// The registry of this scene: its own, or that which all share.
    pub fn registry(&self) -> &Registry {
        self.own_registry.as_ref().unwrap_or_else(|| registry())
    }

    /// The namespace of the story.
    pub fn namespace(&self) -> &str {
        self.story.namespace()
    }

    /// Where a release has its artifacts: at the shared registry in the namespace's
    /// part, at one of its own by the release's name alone.
    pub fn repository(&self, release: &str) -> String {
        match self.own_registry {
            Some(_) => release.to_owned(),
            None => format!("{}/{release}", self.namespace()),
        }
    }

    /// The `spec.url` of that repository.
    pub fn url(&self, release: &str) -> String {
        format!("oci://{}/{}", self.registry().host(), self.repository(release))
    }

    /// Kills the operator and starts another with the same options and the same cache,
    /// as the container of a pod is started again. It takes the lease at once.
    pub fn restart(&mut self) {
        self.operator.kill();
        let options = self.options.clone().cache(self.operator.cache());
        self.operator = start(options);
    }

    /// Kills the operator, does something, and starts another with the same options
    /// and an empty cache, as in a new pod. It takes the lease at once.
    pub async fn replace_operator(&mut self, meanwhile: impl AsyncFnOnce(&Story<'a>)) {
        self.operator.kill();
        meanwhile(&self.story).await;
        self.operator = start(self.options.clone());
    }
}

impl<'a> SceneBuilder<'a> {
    /// The operator has the rights of this profile, in stories about whose rights are
    /// used.
    pub fn profile(mut self, profile: Profile) -> Self {
        self.profile = profile;
        self
    }

    /// The operator has the rights that the chart gives with these values.
    pub fn chart_values(mut self, values: &[String]) -> Self {
        self.chart_values = Some(values.to_vec());
        self
    }

    /// The operator watches these namespaces, too.
    pub fn watching(mut self, others: &[&str]) -> Self {
        self.others.extend(others.iter().copied().map(str::to_owned));
        self
    }

    /// One more argument for the operator.
    pub fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// A registry for this scene alone: one that the story stops, counts the requests
    /// of, or that has credentials or certificates. A release's repository there has
    /// the release's name.
    pub fn own_registry(mut self, registry: Registry) -> Self {
        self.own_registry = Some(registry);
        self
    }

    /// Releases have the `retryInterval` of the API, 30 s, and not one second: for
    /// stories in which nothing is to come of a retry.
    pub fn slow_retries(mut self) -> Self {
        self.retry_interval = None;
        self
    }

    /// Starts the operator and waits until it is ready.
    pub fn start(self) -> Scene<'a> {
        self.start_with(|options| options)
    }

    /// The same, with the operator's options changed: a proxy before the API server, an
    /// environment variable, a lease.
    pub fn start_with(self, change: impl FnOnce(Options) -> Options) -> Scene<'a> {
        let account = match &self.chart_values {
            Some(values) => Account::with_values(self.story.bed(), self.story.namespace(), values),
            None => self.story.account_of(self.profile),
        };
        let watched: Vec<&str> =
            self.others.iter().map(String::as_str).chain([self.story.namespace()]).collect();
        let options = Options::new(BINARY, &account)
            .watching(&watched)
            // The next operator takes the lease of the one before at once.
            .env("POD_NAME", "supercargo-0");
        let options = self.arguments.iter().fold(options, |options, argument| options.argument(argument));
        let options = change(options);
        Scene {
            operator: start(options.clone()),
            own_registry: self.own_registry,
            account,
            story: self.story,
            options,
            retry_interval: self.retry_interval,
        }
    }
}

fn start(options: Options) -> Operator {
    let mut operator = options.start();
    operator.wait_ready();
    operator
}
