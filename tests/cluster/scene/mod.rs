//! What most stories play on: a namespace, an operator that watches it, and a
//! repository of a registry.
//!
//! [`Scene::begin`] starts it as most stories need it; [`Scene::builder`] and
//! [`Scene::of`] begin a builder whose options say what is different. Then a story
//! acts (`act.rs`), waits for what comes of it (`wait.rs`), looks at what is there
//! (`look.rs`) and at what the operator has asked of the API server (`audit.rs`).
//!
//! ```ignore
//! #[story]
//! async fn an_edit_is_put_back_by_one_write() {
//!     let scene = Scene::builder("edit").await.argument("--concurrency=1").start();
//!     scene.install("app", &config_map("a", "one"), json!({"interval": "1h"})).await;
//!     let mark = scene.mark();
//!     scene.edit("a", "by hand");
//!     scene.wait_data("a", "one").await;
//!     assert_eq!(scene.object_writes(mark), ["patch configmaps/a"]);
//! }
//! ```

mod act;
mod audit;
mod build;
mod look;
mod manifests;
mod wait;

pub use audit::is_own;
pub use build::{BINARY, Scene, SceneBuilder, registry};
pub use look::{message, text};
pub use manifests::{
    ALL_RIGHTS, CONFIG_MAPS, account, annotated, config_map, deployment, failing_deployment, release, role,
    unready_deployment, widgets,
};
