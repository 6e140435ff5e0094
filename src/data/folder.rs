//! Pictures of any size from a folder or a zip file.

use super::picture::{Filter, Fit, Picture};
use super::{Dataset, ImageShape};
use crate::error::{Error, Result};
use files::Files;
use serde::Deserialize;
use std::collections::HashMap;
use std::path::Path;

mod files;

/// Far beyond any data set: a label that claims more classes is not believed, since what is told of classes is a table.
const MOST_CLASSES: u64 = 1 << 20;

/// The pictures of a folder and of the folders in it, or of a zip file, in the order of their names. Labels are those
/// of `dataset.json` as the data sets of StyleGAN and EDM have it: `{"labels": [["00000/img00000000.png", 3], ..]}`.
/// Without it, or if its labels are no classes but vectors, all labels are 0.
pub struct Folder {
    files: Files,
    labels: Option<Vec<u32>>,
    shape: ImageShape,
    filter: Filter,
}

impl Folder {
    /// Errors: nothing there, no pictures in it, a damaged zip file, labels that do not belong to the pictures, a
    /// first picture that cannot be read. The others are read when they are asked for.
    pub fn open(path: impl AsRef<Path>, fit: Fit) -> Result<Folder> {
        let files = Files::open(path.as_ref())?;
        let labels = match files.read_beside("dataset.json")? {
            Some(json) => {
                labels(&files, &json).map_err(|what| Error::format(files.root().join("dataset.json"), what))?
            }
            None => None,
        };
        let mut folder =
            Folder { files, labels, shape: ImageShape { height: 0, width: 0, channels: 0 }, filter: fit.filter };
        folder.shape = fit.shape(folder.picture(0)?.shape)?;
        Ok(folder)
    }

    /// As [`Dataset::image`], of a picture that has the set's size already.
    ///
    /// Errors: one of another size, as well.
    pub fn exact(&self, index: usize, out: &mut [f32]) -> Result<()> {
        let (picture, ImageShape { height, width, .. }) = (self.picture(index)?, self.shape);
        let ImageShape { height: own_height, width: own_width, .. } = picture.shape;
        if (own_height, own_width) != (height, width) {
            let what = format!("is {own_height}x{own_width}, expected {height}x{width}: pictures are not resized here");
            return Err(self.files.error(index, what));
        }
        picture.write(self.shape, self.filter, out);
        Ok(())
    }

    /// Picture `index` in its own size.
    fn picture(&self, index: usize) -> Result<Picture> {
        Picture::decode(&self.files.read(index)?)
            .map_err(|what| self.files.error(index, format!("{what}; put a whole picture in its place")))
    }
}

/// The label of every file; `None` if there are none, or if they are no classes.
fn labels(files: &Files, json: &[u8]) -> std::result::Result<Option<Vec<u32>>, String> {
    #[derive(Deserialize)]
    struct Index {
        labels: Option<Vec<(String, serde_json::Value)>>,
    }
    let index: Index = serde_json::from_slice(json).map_err(|e| format!("is not the labels of a data set: {e}"))?;
    let labels: HashMap<String, serde_json::Value> = index.labels.unwrap_or_default().into_iter().collect();
    if labels.values().any(|label| !label.is_number()) {
        return Ok(None);
    }

    let label = |name: String| {
        let label = labels.get(&name.replace('\\', "/")).ok_or_else(|| format!("has no label for {name}"))?;
        let class = label.as_u64().filter(|&class| class < MOST_CLASSES);
        let expected =
            || format!("has the label {label} for {name}, expected an integer from 0 to {}", MOST_CLASSES - 1);
        class.map(|class| class as u32).ok_or_else(expected)
    };
    if labels.is_empty() {
        Ok(None)
    } else {
        (0..files.len()).map(|i| label(files.name(i))).collect::<std::result::Result<_, _>>().map(Some)
    }
}

impl Dataset for Folder {
    fn name(&self) -> &str {
        "folder"
    }

    fn origin(&self) -> String {
        self.files.root().display().to_string()
    }

    fn len(&self) -> usize {
        self.files.len()
    }

    fn shape(&self) -> ImageShape {
        self.shape
    }

    fn classes(&self) -> usize {
        self.labels.iter().flatten().max().map_or(1, |&most| most as usize + 1)
    }

    fn label(&self, index: usize) -> u32 {
        self.labels.as_ref().map_or(0, |labels| labels[index])
    }

    fn flip_by_default(&self) -> bool {
        true
    }

    fn image(&self, index: usize, out: &mut [f32]) -> Result<()> {
        self.picture(index)?.write(self.shape, self.filter, out);
        Ok(())
    }
}
