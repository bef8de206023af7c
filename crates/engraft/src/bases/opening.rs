//! Finding a base: embedded in the program, a file with its card, or one that was pulled.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn::tensor::Device;
use engraft_weights::{Format, Precision, Tensor, Tensors, Weights};
use serde::{Deserialize, Serialize};

use crate::bases::card::Card;
use crate::bases::hub::{Hub, Local, Reference, registry};
use crate::bases::keras_input;
use crate::bases::onnx::{OnnxModel, whole_model};
use crate::bases::stage::StageCost;
use crate::bases::timm_config;
use crate::bases::vision::architecture::Architecture;
use crate::bases::vision::network::{Likeness, Network, NetworkWeights};
use crate::bases::vision::remix::ChannelStatistics;
use crate::bases::vision::runner::Runner;
use crate::bases::vision::trunk::Trunk;
use crate::data::preprocess::{Preprocessing, Resize};
use crate::error::{Error, Problem, Result, printable, shown};
use crate::files;
use crate::settings::{self, Fit};
use crate::suggestion::beside;
use crate::weight_files::{self, unreadable};
use crate::weight_set::{self, WeightSet};

/// A pretrained network, its card, and the identity of its weights.
#[derive(Debug)]
pub struct Base {
    /// How to feed it.
    pub card: Card,
    /// What runs.
    pub body: Body,
    /// SHA-256 of the weights file.
    pub sha256: String,
    /// What the user should know about how the card was found.
    pub remarks: Vec<String>,
    /// Whether its convolutions are sums of products only.
    pub(crate) exact: bool,
}

/// What runs in a base.
#[derive(Debug)]
pub enum Body {
    /// A row of stages: every cut can be used, and every stage trained.
    Stages(Box<NetworkWeights>),
    /// An ONNX model, frozen as a whole.
    Onnx {
        /// The model, up to its features.
        model: Arc<OnnxModel>,
        /// Its file.
        bytes: Arc<[u8]>,
    },
}

/// Which base, and what is said of it by hand.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BaseSpec {
    /// An embedded base's name, a weights file, or a base that was pulled.
    pub base: String,
    /// Its card, where it is not beside the weights.
    pub card: Option<PathBuf>,
    /// Of an ONNX model: the value that serves as features.
    pub onnx_output: Option<String>,
    /// Its input, where it has no card.
    pub input: settings::Input,
    /// Its architecture, where it has no card and is not to be recognised.
    pub architecture: Option<Architecture>,
    /// Its convolutions by sums of products only.
    pub exact: bool,
    /// Channels of the images, where they are not those of the base: 1 (grey), 3 (colours) or 4 (colours and alpha).
    /// A mean and std of as many values in `input` are then those of the new channels.
    pub channels: Option<usize>,
    /// The shorter side of the input, where it is not the card's.
    pub image_size: Option<usize>,
}

impl BaseSpec {
    /// A base about which nothing else is said.
    pub fn named(base: &str) -> Self {
        Self { base: base.to_owned(), ..Self::default() }
    }

    /// What is said of the own input of a base of `channels` channels, and what of its new channels.
    fn split(&self, channels: usize) -> (settings::Input, ChannelStatistics) {
        let mut own = self.input.clone();
        let many = self.channels.filter(|new| *new > 1 && *new != channels);
        let of_new = |values: &mut Option<Vec<f64>>| values.take_if(|values| Some(values.len()) == many);
        let new = ChannelStatistics { mean: of_new(&mut own.mean), std: of_new(&mut own.std) };
        (own, new)
    }
}

impl From<&Fit> for BaseSpec {
    fn from(fit: &Fit) -> Self {
        Self {
            base: fit.base.clone(),
            card: fit.card.clone(),
            onnx_output: fit.onnx_output.clone(),
            input: fit.input.clone(),
            channels: fit.channels,
            image_size: fit.image_size,
            architecture: None,
            exact: fit.exact,
        }
    }
}

/// One line of `engraft bases list`.
#[derive(Debug, Clone, Serialize)]
pub struct BaseSummary {
    /// The name to give to `--base`.
    pub id: String,
    /// The network.
    pub architecture: &'static str,
    /// Whether the weights are in the program.
    pub embedded: bool,
    /// What it is good for.
    pub description: String,
    /// The licence of the weights.
    pub licence: String,
}

struct Embedded {
    card: &'static str,
    weights: &'static [u8],
}

/// The name of the embedded base.
pub(crate) const GLYPHS: &str = "glyphs";

const EMBEDDED: [Embedded; 1] = [Embedded {
    card: include_str!("../../assets/glyphs.toml"),
    weights: include_bytes!("../../assets/glyphs.safetensors"),
}];

/// The bases that the program knows: those it carries, and those whose files it recognises.
pub fn embedded() -> Result<Vec<BaseSummary>> {
    let carried = EMBEDDED.iter().map(|base| Card::parse(base.card, Path::new("embedded")).map(|card| (card, true)));
    let known = Card::all_known().into_iter().map(|card| Ok((card, false)));
    carried
        .chain(known)
        .map(|entry| {
            entry.map(|(card, embedded)| BaseSummary {
                id: card.id,
                architecture: card.architecture.name(),
                embedded,
                description: card.description,
                licence: card.licence,
            })
        })
        .collect()
}

/// Every name that `--base` knows without a file: embedded bases and those of the registry.
pub(crate) fn known_names() -> Vec<&'static str> {
    [GLYPHS].into_iter().chain(registry().iter().map(|entry| entry.id.as_str())).collect()
}

/// Opens a base.
///
/// A folder stands for the weights in it, an index or one of several shards for all of them.
///
/// The card of a file is, in this order: the given one, `FILE.toml` or `FILE.json` beside it (with or without the
/// weights' own ending), a known one by SHA-256, the usual one of the architecture with what a `config.json` of timm
/// beside it says (and a remark says so).
pub fn open(spec: &BaseSpec, device: &Device) -> Result<Base> {
    find(spec, device).map(|base| base.exact(spec.exact))
}

fn find(spec: &BaseSpec, device: &Device) -> Result<Base> {
    if spec.base.is_empty() {
        let problem = Problem::new("no base is named").expected("a base's name or file, as `default_base` chooses one");
        return Err(Error::Usage(problem.at("--base")));
    }
    for base in &EMBEDDED {
        let card = Card::parse(base.card, Path::new("embedded"))?;
        if card.id == spec.base && !Path::new(&spec.base).is_file() {
            if let Some(given) = &spec.card {
                let problem =
                    Problem::new("an embedded base has its own card").expected("no --card").found(shown(given));
                return Err(Error::Usage(problem.at("--card")));
            }
            return Base::from_bytes(base.weights, Some(card), spec, Path::new(&spec.base), device);
        }
    }
    let path = Path::new(&spec.base);
    if let Some(pulled) = Pulled::find(spec)? {
        return pulled.open(spec, device);
    }
    let folder = path.is_dir().then(|| weight_set::in_folder(path)).transpose()?;
    let path = folder.as_deref().unwrap_or(path);
    let set = WeightSet::of_shards(path)?;
    if let Some(set) = set {
        return Base::with_card_beside(set, spec, path, device);
    }
    let source = weight_files::source(path).map_err(|source| {
        let near = beside(path);
        let known = near.iter().map(String::as_str).chain(known_names());
        Error::Weights(
            Problem::new("the base cannot be opened")
                .expected(format_args!("an embedded base ({GLYPHS}), a weights file, or a base that was pulled"))
                .found(source)
                .at(path)
                .suggest(&spec.base, known)
                .hint("`engraft bases list` shows the bases that the program knows"),
        )
    })?;
    Base::with_card_beside(source.into(), spec, path, device)
}

/// A base from the hub that is on this machine.
struct Pulled {
    reference: Reference,
    local: Local,
}

impl Pulled {
    /// The local copy, where `spec` names no file but something of the hub. What the registry or `hf://` names must be
    /// here; for other names a file is looked for.
    fn find(spec: &BaseSpec) -> Result<Option<Self>> {
        let text = &spec.base;
        if Path::new(text).exists() {
            return Ok(None);
        }
        let reference = match Reference::parse(text) {
            Ok(reference) => reference,
            Err(error) if text.starts_with("hf://") => return Err(error),
            Err(_) => return Ok(None),
        };
        let hub = Hub::from_environment()?;
        if reference.entry().is_none() && !text.starts_with("hf://") && !hub.has(&reference) {
            return Ok(None);
        }
        let local = hub.require(&reference)?;
        Ok(Some(Self { reference, local }))
    }

    /// Opens it: the bytes are compared with the SHA-256 that they must have.
    fn open(&self, spec: &BaseSpec, device: &Device) -> Result<Base> {
        let place = &self.local.weights;
        let source = weight_files::source(place)
            .map_err(|source| Error::Weights(Problem::new("the base cannot be read").found(source).at(place)))?;
        self.local.check(&weight_files::sha256(&source).map_err(|source| unreadable(&source, place))?)?;
        let card = match (&spec.card, self.reference.entry()) {
            (Some(place), _) => Some(Card::parse(&read_card(place)?, place)?),
            (None, Some(entry)) => Some(entry.card(Some(&self.local.sha256))?),
            (None, None) => None,
        };
        Base::from_set(source.into(), card, spec, place, device)
    }
}

fn read_card(place: &Path) -> Result<String> {
    let bytes = files::read_limited(place, 16 << 20)
        .map_err(|source| Error::Weights(Problem::new("the card cannot be read").found(source).at(place)))?;
    String::from_utf8(bytes)
        .map_err(|_| Error::Weights(Problem::new("the card is not text").expected("UTF-8").at(place)))
}

/// The card's file beside a weights file.
fn card_beside(weights: &Path) -> Option<PathBuf> {
    ["toml", "json"].into_iter().find_map(|ending| {
        let mut long = weights.as_os_str().to_owned();
        long.push(format!(".{ending}"));
        let found = [PathBuf::from(long), weights.with_extension(ending)].into_iter().find(|path| path.is_file());
        // An index of shards is JSON itself.
        found.filter(|path| path != weights)
    })
}

/// Whether a file beside weights is meant as their card: a foreign one of that name (a model's configuration, settings of a
/// training) has other keys. What cannot be parsed is told as a damaged card.
fn is_card(text: &str) -> bool {
    let parsed = serde_json::from_str(text).ok().or_else(|| toml::from_str(text).ok());
    match parsed {
        Some(serde_json::Value::Object(said)) => {
            said.contains_key("preprocessing") || said.contains_key("architecture") && said.contains_key("padding")
        }
        Some(_) => false,
        None => true,
    }
}

/// Whether what is said by hand agrees with there being a card or none.
fn check_flags(card: Option<&Card>, spec: &BaseSpec, place: &Path) -> Result<()> {
    if let Some(card) = card
        && !spec.split(card.preprocessing.channels).0.is_empty()
    {
        let problem = Problem::new("the base has a card, which says how images become its input");
        let problem = problem.expected("no flags about the input").at(place);
        return Err(Error::Usage(problem.hint("change a copy of the card, and give it with --card")));
    }
    Ok(())
}

impl Base {
    /// Builds a base from a weights file, or an ONNX model, in memory.
    pub(crate) fn from_bytes(
        bytes: &[u8],
        card: Option<Card>,
        spec: &BaseSpec,
        place: &Path,
        device: &Device,
    ) -> Result<Self> {
        let source: engraft_weights::Source<'_> = bytes.into();
        Self::from_set(source.into(), card, spec, place, device)
    }

    /// The same with the card that is given, or lies beside the weights.
    fn with_card_beside(set: WeightSet<'_>, spec: &BaseSpec, place: &Path, device: &Device) -> Result<Self> {
        let mut ignored = None;
        let card = match (&spec.card, card_beside(place)) {
            (Some(given), _) => Some(Card::parse(&read_card(given)?, given)?),
            (None, None) => None,
            (None, Some(beside)) => match read_card(&beside)? {
                text if is_card(&text) => Some(Card::parse(&text, &beside)?),
                _ => {
                    ignored = Some(format!("{} is not a card, and is left out", shown(&beside)));
                    None
                }
            },
        };
        let mut base = Self::from_set(set, card, spec, place, device)?;
        base.remarks.extend(ignored);
        Ok(base)
    }

    /// Builds a base from a weights file, or an ONNX model. Of weights only what the network needs comes into memory.
    fn from_set(
        set: WeightSet<'_>,
        card: Option<Card>,
        spec: &BaseSpec,
        place: &Path,
        device: &Device,
    ) -> Result<Self> {
        let sha256 = set.sha256().map_err(|source| unreadable(&source, place))?;
        let card = card.or_else(|| Card::known(&sha256));
        check_flags(card.as_ref(), spec, place)?;
        if let Some(expected) = card.as_ref().and_then(|card| card.sha256.as_ref())
            && *expected != sha256
        {
            return Err(Error::Weights(
                Problem::new("the weights are not those of the card")
                    .expected(format_args!("SHA-256 {expected}"))
                    .found(&sha256)
                    .at(place)
                    .hint("fetch the file again, or correct the card"),
            ));
        }
        if let Some(source) = set.single().filter(|source| weight_files::format(source) == Some(Format::Onnx)) {
            let (whole, sha256) = whole_model(source, sha256, place)?;
            return Self::from_onnx(&whole, card, spec, place, sha256);
        }
        if let Some(output) = &spec.onnx_output {
            let problem = Problem::new("--onnx-output names a value of an ONNX model, and this is none").found(output);
            return Err(Error::Usage(problem.at(place)));
        }
        let file = set.open().map_err(|source| unreadable(&source, place))?;
        let weights = file.headers();
        let mut remarks = Vec::new();
        let wanted = match &card {
            Some(card) => Some((card.architecture, card.preprocessing.channels)),
            None => spec.architecture.map(|architecture| (architecture, 3)),
        };
        let trunk = match Trunk::find(&file, wanted.filter(|(architecture, _)| *architecture != Architecture::ONNX)) {
            Ok(trunk) => Some(trunk),
            Err(closest) if wanted.is_none() => return Err(unknown_architecture(weights, *closest, place)),
            Err(_) => None,
        };
        if let Some(trunk) = &trunk {
            refuse_dilated(trunk.likeness.architecture, weights, place)?;
        }
        let card = match card {
            Some(card) => card,
            None => {
                let likeness = match (&trunk, spec.architecture) {
                    (Some(trunk), _) => trunk.likeness.clone(),
                    (None, architecture) => {
                        let architecture = architecture.expect("without one the file is recognised");
                        Network::likeness(architecture, 3, weights)
                    }
                };
                let Likeness { architecture, dialect, channels, .. } = likeness;
                let mut card = Card::of_dialect(architecture, dialect, channels, stem(place));
                let said = weights.metadata.get("keras.batch_norm_epsilon").and_then(|text| text.parse().ok());
                card.batch_norm_epsilon = said.or(card.batch_norm_epsilon);
                let said = spec.split(channels).0;
                let from_timm = timm_config::lay_over(&mut card, place, &mut remarks)?;
                let from_keras = !from_timm && keras_input::lay_over(&mut card, weights, &said, place, &mut remarks)?;
                adjust(&mut card.preprocessing, &said)?;
                if channels == 4 && said.mean.is_none() {
                    remarks.push(
                        "the weights take images of 4 channels: the fourth has the mean and std of the third (--mean and --std take four values)"
                            .into(),
                    );
                }
                if from_timm {
                    remarks.push(timm_config::remark(&card, place));
                } else if said.is_empty() && !from_keras {
                    remarks.push(format!(
                        "{} has no card and is not known by its SHA-256: taking the usual preprocessing of {} from {} (give --card if it was trained otherwise)",
                        shown(place),
                        architecture.name(),
                        dialect.name,
                    ));
                }
                card.checked(place)?
            }
        };
        let card = resized(card, spec, &mut remarks)?;
        let tensors: &dyn Tensors = match &trunk {
            Some(trunk) => {
                remarks.extend(trunk.remarks.iter().cloned());
                trunk
            }
            None => &file,
        };
        remarks.extend(checkpoint_remarks(weights));
        let base = Self { remarks, ..Self::from_weights(card, tensors, sha256, device)? };
        base.opened(spec)
    }

    /// For the channels that are asked for.
    fn opened(self, spec: &BaseSpec) -> Result<Self> {
        let Some(channels) = spec.channels else { return Ok(self) };
        let said = spec.split(self.card.preprocessing.channels).1;
        self.for_channels(channels, &said)
    }

    /// Builds a base from tensors by name.
    pub fn from_weights(card: Card, weights: &dyn Tensors, sha256: String, device: &Device) -> Result<Self> {
        if card.architecture == Architecture::ONNX {
            let problem = Problem::new("the card is that of an ONNX model").found("tensors by name");
            return Err(Error::Weights(problem));
        }
        let built = Network::from_weights(&card, weights, device)?;
        Ok(Self { card, body: Body::Stages(Box::new(built)), sha256, remarks: Vec::new(), exact: false })
    }

    fn from_onnx(bytes: &[u8], card: Option<Card>, spec: &BaseSpec, place: &Path, sha256: String) -> Result<Self> {
        if let Some(card) = card.as_ref().filter(|card| card.architecture != Architecture::ONNX) {
            let problem = Problem::new("the card is that of another kind of file").expected("architecture onnx");
            return Err(Error::Weights(problem.found(card.architecture.name()).at(place)));
        }
        let output = spec.onnx_output.clone().or_else(|| card.as_ref().and_then(|card| card.output.clone()));
        let mut remarks = Vec::new();
        let card = card.map(|card| resized(card, spec, &mut remarks)).transpose()?;
        let said_size = spec.image_size.or(spec.input.size).or_else(|| timm_config::side(place));
        let size = match &card {
            Some(card) => Some([card.preprocessing.height, card.preprocessing.width]),
            None => said_size.map(|side| [side; 2]),
        };
        let model = OnnxModel::open(bytes, output.as_deref(), size, place)?;
        let mut card = match card {
            Some(card) => card,
            None => {
                let mut card = Card::usual(Architecture::ONNX, stem(place));
                let input = model.input();
                card.preprocessing = card.architecture.dialects()[0].input.preprocessing(input.channels);
                // What the model leaves open was asked for or assumed when it was opened.
                let sides = [input.height, input.width].map(|side| side.unwrap_or(224));
                [card.preprocessing.height, card.preprocessing.width] = sides;
                let larger = card.preprocessing.height.max(card.preprocessing.width);
                // The usual proportion of the centre: 224 of 256.
                card.preprocessing.resize = Resize::ShortestSide((larger * 8).div_ceil(7));
                let from_timm = timm_config::lay_over(&mut card, place, &mut remarks)?;
                if [card.preprocessing.height, card.preprocessing.width] != sides {
                    card.preprocessing.scale_to(sides);
                }
                adjust(&mut card.preprocessing, &spec.input)?;
                if from_timm {
                    remarks.push(timm_config::remark(&card, place));
                } else if spec.input.is_empty() {
                    remarks.push(format!(
                        "{} has no card: taking ImageNet's mean and std at {} x {} pixels (give --card, or --mean, --std and --resize, if it was trained otherwise)",
                        shown(place),
                        card.preprocessing.height,
                        card.preprocessing.width,
                    ));
                }
                card
            }
        };
        if output.is_none() {
            remarks.push(format!("features are `{}`: {}", model.output().name, model.why()));
        }
        card.output = Some(model.output().name.clone());
        let card = card.checked(place)?;
        let card = resized(card, spec, &mut remarks)?;
        let body = Body::Onnx { model: Arc::new(model), bytes: bytes.into() };
        Self { card, body, sha256, remarks, exact: false }.opened(spec)
    }

    /// The same base with convolutions by sums of products only, or by whatever is fastest.
    #[must_use]
    pub(crate) fn exact(mut self, exact: bool) -> Self {
        if let Body::Stages(built) = &mut self.body {
            built.network = built.network.clone().exact(exact);
            self.exact = exact;
        }
        self
    }

    /// Rows and columns of its input.
    pub fn input(&self) -> [usize; 2] {
        [self.card.preprocessing.height, self.card.preprocessing.width]
    }

    /// The same with other weights, and no classifier of its own.
    ///
    /// # Errors
    /// [`Error::Weights`] where it is frozen as a whole.
    pub(crate) fn with_network(&self, network: Network) -> Result<Self> {
        let NetworkWeights { manifest, fit, .. } = self.staged()?;
        let built = NetworkWeights { network, classifier: None, manifest: manifest.clone(), fit: fit.clone() };
        Ok(Self {
            card: self.card.clone(),
            body: Body::Stages(Box::new(built)),
            sha256: self.sha256.clone(),
            remarks: self.remarks.clone(),
            exact: self.exact,
        })
    }

    /// The network of stages and its parameters, or why there is none.
    pub fn staged(&self) -> Result<&NetworkWeights> {
        match &self.body {
            Body::Stages(built) => Ok(built),
            Body::Onnx { .. } => Err(self.frozen_whole()),
        }
    }

    fn frozen_whole(&self) -> Error {
        Error::Weights(
            Problem::new("an ONNX model is frozen as a whole: it has no cut but the end, and cannot be trained")
                .at(&self.card.id)
                .hint("for anything else take the weights of an architecture that `engraft bases list` shows"),
        )
    }

    /// Names of the stages; an ONNX model is one.
    pub fn stages(&self) -> Vec<String> {
        match &self.body {
            Body::Stages(built) => built.network.stages(),
            Body::Onnx { model, .. } => vec![model.output().name.clone()],
        }
    }

    /// Cost of each stage for one image of the card's size.
    pub fn costs(&self) -> Vec<StageCost> {
        match &self.body {
            Body::Stages(built) => built.network.costs(self.input()),
            Body::Onnx { model, .. } => vec![StageCost {
                name: model.output().name.clone(),
                outputs: vec![vec![model.columns()]],
                parameters: model.parameters(),
                multiply_adds: model.multiply_adds(),
            }],
        }
    }

    /// What runs it, frozen, up to a cut.
    pub fn runner(&self, cut: usize, device: &Device) -> Result<Runner> {
        match &self.body {
            Body::Stages(built) if *device == Device::flex() => {
                Ok(Runner::Compiled(built.network.compile(0..cut, self.input(), None)))
            }
            Body::Stages(built) => {
                let (network, input) = (Box::new(built.network.clone()), self.card.preprocessing.shape());
                Ok(Runner::Stages { network, cut, input, device: device.clone() })
            }
            Body::Onnx { model, .. } if cut == 1 => Ok(Runner::Onnx(Arc::clone(model))),
            Body::Onnx { .. } => Err(self.frozen_whole()),
        }
    }

    /// What runs it to the logits of its own classes; `None` where it has no classifier.
    pub fn classifier(&self) -> Option<Runner> {
        match &self.body {
            Body::Stages(built) => {
                let classifier = built.classifier.as_ref()?;
                Some(Runner::Compiled(built.network.compile(0..classifier.cut(), self.input(), Some(classifier))))
            }
            Body::Onnx { model, .. } => model.classes().map(|_| Runner::OnnxClasses(Arc::clone(model))),
        }
    }

    /// SHA-256 over what the features depend on: the weights themselves, whatever file they came in.
    pub(crate) fn weights_fingerprint(&self) -> String {
        match &self.body {
            Body::Stages(built) => {
                let tensors = built.manifest.export(&built.network, Precision::F32);
                files::sha256_hex(&engraft_weights::write(&Weights { tensors, ..Weights::default() }))
            }
            Body::Onnx { .. } => format!("{}/{}", self.sha256, self.card.output.as_deref().unwrap_or_default()),
        }
    }
}

/// The card for the image size that is asked for, and a remark where it is another than the card's.
fn resized(card: Card, spec: &BaseSpec, remarks: &mut Vec<String>) -> Result<Card> {
    let Some(pixels) = spec.image_size else { return Ok(card) };
    let own = card.preprocessing.shape();
    let card = card.for_image_size(pixels)?;
    let new = card.preprocessing.shape();
    if new != own {
        remarks.push(format!("images of {} x {} pixels, where the card says {} x {}", new[0], new[1], own[0], own[1]));
    }
    Ok(card)
}

fn stem(place: &Path) -> String {
    place.file_stem().map_or_else(|| "base".into(), |stem| printable(Path::new(stem)))
}

/// Lays what was said by hand over the usual preprocessing.
fn adjust(p: &mut Preprocessing, said: &settings::Input) -> Result<()> {
    fn parse<T: for<'de> Deserialize<'de>>(flag: &str, text: &str) -> Result<T> {
        serde_json::from_value(serde_json::Value::String(text.to_owned()))
            .map_err(|source| Error::Usage(Problem::new(format_args!("invalid --{flag}")).found(source)))
    }
    let channels = p.channels;
    if let Some(size) = said.size {
        p.scale_to([size; 2]);
    }
    if let Some(shortest) = said.shortest_side {
        p.resize = if shortest == 0 { Resize::Stretch } else { Resize::ShortestSide(shortest) };
    }
    if let Some(text) = &said.interpolation {
        p.interpolation = parse("interpolation", text)?;
    }
    if let Some(text) = &said.channel_order {
        p.channel_order = parse("channel-order", text)?;
    }
    let each = |values: &Vec<f64>| if values.len() == 1 { vec![values[0]; channels] } else { values.clone() };
    if let Some(mean) = &said.mean {
        p.mean = each(mean);
    }
    if let Some(std) = &said.std {
        p.std = each(std);
    }
    Ok(())
}

/// What is said of how a checkpoint was read: of its Python objects, and of other mappings of tensors in it.
pub(super) fn checkpoint_remarks(weights: &Weights) -> impl Iterator<Item = String> {
    let said = |key: &str| weights.metadata.get(key);
    let objects = said("pytorch.objects").map(|objects| {
        format!("Python objects beside the tensors were left unread, and nothing of them was run: {objects}")
    });
    let others = said("pytorch.others").zip(said("pytorch.key")).map(|(others, key)| {
        format!(
            "the checkpoint has weights under {others} too; taken is what it has under {key}: save the other alone if that is meant"
        )
    });
    objects.into_iter().chain(others)
}

/// Refuses a ResNet whose last stages are dilated, as networks that label pixels have them: its tensors are those of the plain one,
/// and what tells it is the head beside it.
fn refuse_dilated(architecture: Architecture, weights: &Weights, place: &Path) -> Result<()> {
    if !architecture.name().starts_with("resnet") {
        return Ok(());
    }
    let labels_pixels = |(name, tensor): &(&String, &Tensor)| {
        let has = |part: &str| name.split('.').any(|found| found == part);
        let by_name = has("aspp")
            || has("aux_classifier") && tensor.shape.len() == 4
            || name.contains("classifier.0.convs.")
            || name.contains("decoder.0.convs.");
        // The head of a fully convolutional network: a window over the features.
        by_name || name.ends_with("classifier.0.weight") && matches!(tensor.shape.as_slice(), [_, _, 3, 3])
    };
    match weights.tensors.iter().find(labels_pixels) {
        None => Ok(()),
        Some((head, _)) => Err(Error::Weights(
            Problem::new("the network is the dilated backbone of a network that labels pixels")
                .expected(format_args!("{} without dilation", architecture.name()))
                .found(format_args!("the tensors of one beside `{head}`"))
                .at(place)
                .hint("export the backbone to ONNX, which keeps its dilation"),
        )),
    }
}

/// What to do about weights that are kept as two tensors each; nothing where none is.
fn kept_in_parts(weights: &Weights) -> Option<&'static str> {
    let ends = |ending: &str| weights.tensors.keys().any(|name| name.ends_with(ending));
    if ends(".weight_orig") && ends(".weight_mask") {
        return Some("the weights are pruned, and kept beside their masks: torch.nn.utils.prune.remove makes them one");
    }
    if ends(".weight_g") && ends(".weight_v") || ends(".parametrizations.weight.original0") {
        return Some(
            "the weights are kept as lengths and directions: torch.nn.utils.remove_weight_norm or \
             torch.nn.utils.parametrize.remove_parametrizations makes them one",
        );
    }
    None
}

fn unknown_architecture(weights: &Weights, closest: Option<Likeness>, place: &Path) -> Error {
    let names: Vec<&str> = weights.tensors.keys().take(3).map(String::as_str).collect();
    let found = if names.is_empty() { "no tensors at all".into() } else { format!("{}, ...", names.join(", ")) };
    let problem = Problem::new("the architecture of the weights is not known")
        .expected("the tensor names and shapes of one of the architectures that `engraft bases list` shows")
        .at(place);
    let problem = match weights.metadata.get("pytorch.objects") {
        Some(objects) if names.len() < 3 => problem.hint(format_args!(
            "the network may be in one of its Python objects ({objects}), of which nothing is read: save the state_dict, \
             torch.save(model.state_dict(), 'weights.pt')"
        )),
        _ => problem.hint(
            kept_in_parts(weights)
                .unwrap_or("if it is another architecture, export it to ONNX: any ONNX model can be a frozen base"),
        ),
    };
    Error::Weights(match closest {
        Some(Likeness { architecture, dialect, fit, .. }) => problem.found(format_args!(
            "{found}; closest is {} ({}), with {}",
            architecture.name(),
            dialect.name,
            fit.describe()
        )),
        None => problem.found(found),
    })
}

#[cfg(test)]
#[path = "opening_tests.rs"]
mod tests;
