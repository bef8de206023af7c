//! The front door: fit to a data set, look at what came out, save it.

use std::path::{Path, PathBuf};

use crate::data::intake::InputKind;
use crate::error::Result;
use crate::features::{Cache, open_intake};
use crate::fit::{Context, FitEvent, Fitted, fit};
use crate::methods::Journal;
use crate::methods::{AnyBase, usual_settings, with_base};
use crate::progress::{Observer, Silent};
use crate::rank::with_ranked_base;
use crate::run::{self, Rendered, Report};
use crate::settings;

/// A fit to be run: a pretrained base, labelled data, and how far to go.
///
/// The data is a folder with one folder of images or `.txt` files for each class, a table (CSV, TSV, JSON lines, Parquet) of image
/// paths, texts, or numbers and categories, or an array of features (`.npy`). What is not said has the defaults of
/// [`settings::Fit`]; nothing is printed.
///
/// ```
/// # fn main() -> engraft::error::Result<()> {
/// # let data = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/cars.csv");
/// # let folder = tempfile::tempdir().unwrap();
/// # let out = folder.path().join("run");
/// let run = engraft::Fit::new(data).label_column("price").run()?;
/// println!("{}", run.verdict());
/// run.save(&out)?;
/// let model = engraft::Model::open(&out)?;
/// let rows = model.open_rows(data, &engraft::progress::Silent)?;
/// assert_eq!(model.predict_rows(&rows, &[0, 1, 2])?.len(), 3);
/// # Ok(())
/// # }
/// ```
pub struct Fit<'a> {
    settings: settings::Fit,
    cache: Option<Cache>,
    observer: &'a dyn Observer,
    on_event: Box<dyn FnMut(FitEvent<'_>) + 'a>,
}

impl<'a> Fit<'a> {
    /// A fit to the data at a path.
    pub fn new(data: impl Into<PathBuf>) -> Self {
        let settings = settings::Fit { data: data.into(), ..settings::Fit::default() };
        Self { settings, cache: None, observer: &Silent, on_event: Box::new(|_| {}) }
    }

    /// The pretrained base: the name of an embedded one or of one that was pulled, or a file of weights. Where it is not
    /// said, the best by published numbers that is on this machine and fits the data; `auto` ranks those on the data itself.
    #[must_use]
    pub fn base(mut self, base: impl Into<String>) -> Self {
        self.settings.base = base.into();
        self
    }

    /// The column of a table that holds the labels.
    #[must_use]
    pub fn label_column(mut self, column: impl Into<String>) -> Self {
        self.settings.label_column = Some(column.into());
        self
    }

    /// The column of a table that holds the texts, or two with a comma between them.
    #[must_use]
    pub fn text_column(mut self, column: impl Into<String>) -> Self {
        self.settings.text = Some(column.into());
        self
    }

    /// How much of the base is retrained: `head`, `last`, `half`, `all`, a stage's name, `contrastive` (texts), or `auto`, as
    /// deep as gains stand out of the noise (the default).
    #[must_use]
    pub fn depth(mut self, depth: impl Into<String>) -> Self {
        self.settings.depth = depth.into();
        self
    }

    /// What the choice of the depth may cost: `90s`, `5m` (the default), `1h` on two cores of a laptop.
    #[must_use]
    pub fn budget(mut self, budget: impl Into<String>) -> Self {
        self.settings.budget = budget.into();
        self
    }

    /// Seed of everything that is drawn; 0 where it is not said.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.settings.seed = seed;
        self
    }

    /// Any other setting.
    #[must_use]
    pub fn settings(mut self, change: impl FnOnce(&mut settings::Fit)) -> Self {
        change(&mut self.settings);
        self
    }

    /// Keeps features in a folder, so that the next fit to the same examples does not compute them again.
    #[must_use]
    pub fn cache(mut self, folder: impl Into<PathBuf>) -> Self {
        self.cache = Some(Cache::new(folder.into(), Cache::USUAL_MEGABYTES << 20));
        self
    }

    /// Hears of progress and may interrupt; [`Silent`] where it is not said.
    #[must_use]
    pub fn observer(mut self, observer: &'a dyn Observer) -> Self {
        self.observer = observer;
        self
    }

    /// Hears of results as soon as they are known.
    #[must_use]
    pub fn on_event(mut self, on_event: impl FnMut(FitEvent<'_>) + 'a) -> Self {
        self.on_event = Box::new(on_event);
        self
    }

    /// Audits the data, fits, evaluates, and runs the controls.
    ///
    /// # Errors
    /// Data, weights and settings that cannot be used ([`crate::error::Error`] tells which), and interruption.
    pub fn run(mut self) -> Result<Run> {
        // What is usual depends on what the data is; what was said stays.
        let kind = InputKind::of(&self.settings);
        let settings = self.settings.over(&usual_settings(kind, &self.settings.base))?;
        let settings = with_ranked_base(settings, kind, self.cache.as_ref(), self.observer)?;
        let config = with_base(settings, kind, self.observer)?;
        let intake = open_intake(&config, kind, self.cache.as_ref(), self.observer)?;
        let base = AnyBase::open(&config, &intake)?;
        let means = Context { cache: self.cache.as_ref(), journal: &Journal::none(), observer: self.observer };
        let fitted = fit(&config, base, intake, means, 0.0, &mut *self.on_event)?;
        let rendered = Rendered::of(&fitted, "engraft fit --config run.toml --out NEW")?;
        Ok(Run { fitted, rendered })
    }
}

/// A fit that was run.
pub struct Run {
    fitted: Fitted,
    rendered: Rendered,
}

impl Run {
    /// Everything that was measured, as `report.json` has it.
    pub fn report(&self) -> &Report {
        &self.rendered.report
    }

    /// Whether the transfer helped, in words.
    pub fn verdict(&self) -> String {
        self.fitted.verdict()
    }

    /// The model, its data and all that it was chosen from.
    pub fn fitted(&self) -> &Fitted {
        &self.fitted
    }

    /// Writes the run's folder, complete or not at all; one that is there is an error.
    ///
    /// # Errors
    /// [`crate::error::Error::Io`] where it cannot be written, or something is there.
    pub fn save(&self, out: impl AsRef<Path>) -> Result<()> {
        run::save(&self.rendered, out.as_ref(), false, &[])
    }
}
