//! Helm charts: what a spec says about them, a look at the files before a program renders them, and
//! what becomes of the hooks among the objects.

mod capabilities;
mod definitions;
mod hidden;
mod hooks;
mod look;
mod mentions;
mod options;
mod own_kinds;
mod unsteady;
mod values;

pub use capabilities::{ChartRecord, ClusterCapabilities, is_version};
pub use definitions::arrange_definitions;
pub(in crate::domain) use hidden::hide_values;
pub use hooks::{arrange, runs_for_revision};
pub use look::{ChartName, look_at_chart};
pub use mentions::ChartMentions;
pub use options::{ChartOptions, release_name_of};
pub use unsteady::{difference, output_trace};
pub use values::{ChartInputs, chart_inputs, secret_texts};
