//! The progress of long operations on a terminal: bars for bytes, and a
//! list of objects that are waited for. Elsewhere nothing is drawn.

use std::env;
use std::io::IsTerminal;
use std::sync::{Arc, Mutex, PoisonError};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::text::folded;
use super::text::sanitize_for_terminal;
use crate::domain::message::and_more;

/// The most objects that are shown as waited for; the rest is counted.
const MAX_WAITING: usize = 8;

/// The live part of the terminal. Cheap to clone; all clones draw the same.
#[derive(Clone, Debug, Default)]
pub struct ProgressBars {
    live: Option<Arc<Live>>,
}

#[derive(Debug)]
struct Live {
    bars: MultiProgress,
    waiting: Mutex<Vec<ProgressBar>>,
}

/// A bar for the bytes of one thing; removed when it is dropped. Can be advanced
/// from anywhere.
#[derive(Debug)]
pub struct Bar(Option<ProgressBar>);

impl ProgressBars {
    /// Drawn on stderr when `enabled`, else never.
    pub fn new(enabled: bool) -> Self {
        let live = || {
            let bars = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
            Arc::new(Live { bars, waiting: Mutex::default() })
        };
        Self { live: enabled.then(live) }
    }

    /// Whether progress is drawn: stderr is a terminal that can move up in its
    /// lines, and not the log of a CI job.
    pub fn is_watched() -> bool {
        let set = |name: &str| env::var_os(name).is_some_and(|value| !value.is_empty());
        let able = env::var_os("TERM").is_some_and(|term| term != "dumb");
        std::io::stderr().is_terminal() && able && !set("CI")
    }

    /// A bar for `total` bytes; 0 when the number is unknown.
    pub fn bar(&self, label: &str, total: u64) -> Bar {
        let Some(live) = &self.live else { return Bar(None) };
        let template = match total {
            0 => "{prefix:.bold} {bytes} {bytes_per_sec:.dim}",
            _ => "{prefix:.bold} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec:.dim}",
        };
        let bar = live.bars.add(ProgressBar::new(total));
        bar.set_style(style(template).progress_chars("=> "));
        bar.set_prefix(sanitize_for_terminal(label).into_owned());
        Bar(Some(bar))
    }

    /// Shows the objects that are waited for, each with the cause. Replaces the list
    /// shown before; an empty list shows nothing.
    pub fn waiting(&self, things: &[(String, String)]) {
        let Some(live) = &self.live else { return };
        let mut lines: Vec<String> = things
            .iter()
            .take(MAX_WAITING)
            .map(|(subject, why)| format!("  {subject}: {}", folded(why)))
            .collect();
        let more = and_more(things.len().saturating_sub(MAX_WAITING));
        lines.extend(more.map(|more| format!("  {more}")));
        let mut bars = live.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        while bars.len() > lines.len() {
            if let Some(bar) = bars.pop() {
                bar.finish_and_clear();
                live.bars.remove(&bar);
            }
        }
        for (n, line) in lines.into_iter().enumerate() {
            if n == bars.len() {
                let bar = live.bars.add(ProgressBar::new_spinner());
                bar.set_style(style("{wide_msg}"));
                bars.push(bar);
            }
            let line = sanitize_for_terminal(&line).into_owned();
            // Drawing the same text again makes it flicker.
            if bars[n].message() != line {
                bars[n].set_message(line);
            }
        }
    }

    /// Removes everything from the screen.
    pub fn clear(&self) {
        self.waiting(&[]);
        if let Some(live) = &self.live {
            // A closed terminal needs no clearing.
            let _ = live.bars.clear();
        }
    }

    /// Runs code that writes to the terminal, with nothing drawn meanwhile.
    pub(in crate::cli) fn aside<T>(&self, write: impl FnOnce() -> T) -> T {
        match &self.live {
            Some(live) => live.bars.suspend(write),
            None => write(),
        }
    }
}

impl Bar {
    /// Adds bytes.
    pub fn advance(&self, bytes: u64) {
        if let Some(bar) = &self.0 {
            bar.inc(bytes);
        }
    }

    /// Removes the bar from the screen.
    pub fn finish(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.finish();
    }
}

fn style(template: &str) -> ProgressStyle {
    // The templates above are well formed; the default is never used.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_template_is_well_formed_and_everything_can_be_done_anywhere() {
        fn shared<T: Send + Sync>(_: &T) {}
        for enabled in [false, true] {
            // The tests' stderr is not a terminal: nothing is drawn.
            let progress = ProgressBars::new(enabled);
            let bars = [progress.bar("layer", 0), progress.bar("layer", 10)];
            shared(&bars);
            bars[1].advance(5);
            let things: Vec<_> =
                (0..MAX_WAITING + 3).map(|n| (format!("Pod/{n}"), "starts".to_owned())).collect();
            for count in [1, things.len(), 2, 0] {
                progress.waiting(&things[..count]);
                let shown = progress.live.as_ref().map(|l| l.waiting.lock().unwrap().len());
                assert_eq!(shown, enabled.then_some(count.min(MAX_WAITING + 1)));
            }
            assert_eq!(progress.clone().aside(|| 1), 1);
            progress.clear();
        }
        for template in ["{prefix:.bold} {bytes} {bytes_per_sec:.dim}", "{wide_msg}"] {
            assert!(ProgressStyle::with_template(template).is_ok());
        }
    }
}
