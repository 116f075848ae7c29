//! Pictures: their size, and smaller ones of them. Everything here blocks, and takes memory.

use std::io::Cursor;

use image::codecs::jpeg::JpegEncoder;
use image::codecs::webp::WebPEncoder;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, ImageResult, Limits};

use crate::base::error::{Error, Kind, Result};

/// Bytes of a pixel in the largest form of a decoder: four channels of 16 bits.
const PIXEL_BYTES: u64 = 8;
/// Memory of a decoder beside the pixels.
const DECODER_BYTES: u64 = 16 * 1024 * 1024;
const QUALITY: u8 = 80;
const JPEG: &str = "image/jpeg";
const WEBP: &str = "image/webp";

/// What is made of pictures.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    /// Most pixels that are decoded.
    pub pixels: u64,
    /// The longer side of each form.
    pub thumbnail: u32,
    pub preview: u32,
}

/// A picture that can be decoded.
#[derive(Debug)]
pub struct Picture {
    /// As it is shown: a camera may have been turned.
    pub width: u32,
    pub height: u32,
    pub thumbnail: Made,
    /// None: it would not be smaller than the picture itself.
    pub preview: Option<Made>,
}

/// A smaller picture, without any metadata.
#[derive(Debug)]
pub struct Made {
    pub bytes: Vec<u8>,
    pub media_type: &'static str,
}

/// Whether files of this type can be decoded.
pub fn is_known(media_type: &str) -> bool {
    format(media_type).is_some()
}

fn format(media_type: &str) -> Option<ImageFormat> {
    match media_type {
        JPEG => Some(ImageFormat::Jpeg),
        "image/png" => Some(ImageFormat::Png),
        "image/gif" => Some(ImageFormat::Gif),
        WEBP => Some(ImageFormat::WebP),
        _ => None,
    }
}

/// Decodes a picture and makes the smaller ones. None: it is damaged, and stays a plain file.
///
/// # Errors
/// `Kind::TooLarge` if it has too many pixels. Such a picture is not decoded: a small file can be a bomb.
pub fn make(bytes: &[u8], media_type: &str, sizes: Sizes) -> Result<Option<Picture>> {
    let Some(format) = format(media_type) else { return Ok(None) };
    // The head can be a bomb too: a colour profile is inflated before the size is known.
    let Ok((width, height)) = reader(bytes, format, within_memory(0)).into_dimensions() else {
        return Ok(None);
    };
    let (pixels, most) = (u64::from(width) * u64::from(height), sizes.pixels);
    if pixels > most {
        let detail = format!("the picture has {width} × {height} pixels, and {most} in all are allowed");
        return Err(Error::new(Kind::TooLarge, detail));
    }
    if pixels == 0 {
        return Ok(None);
    }
    let decoded = decode(bytes, format, within_memory(pixels));
    match decoded.and_then(|(image, turn)| smaller(&image, turn, bytes.len(), sizes)) {
        Ok(picture) => Ok(Some(picture)),
        Err(error) => {
            tracing::debug!(%error, "a picture could not be decoded");
            Ok(None)
        }
    }
}

fn within_memory(pixels: u64) -> Limits {
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(pixels * PIXEL_BYTES + DECODER_BYTES);
    limits
}

fn reader(bytes: &[u8], format: ImageFormat, limits: Limits) -> ImageReader<Cursor<&[u8]>> {
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.limits(limits);
    reader
}

/// The first picture of an animation, and how it has to be turned.
fn decode(bytes: &[u8], format: ImageFormat, limits: Limits) -> ImageResult<(DynamicImage, Orientation)> {
    let mut decoder = reader(bytes, format, limits).into_decoder()?;
    let turn = decoder.orientation()?;
    Ok((DynamicImage::from_decoder(decoder)?, turn))
}

/// Only the small picture is turned and copied: the large one is in memory once.
fn smaller(image: &DynamicImage, turn: Orientation, size: usize, sizes: Sizes) -> ImageResult<Picture> {
    let mut preview = within(image, sizes.preview);
    preview.apply_orientation(turn);
    let is_turned = matches!(
        turn,
        Orientation::Rotate90
            | Orientation::Rotate270
            | Orientation::Rotate90FlipH
            | Orientation::Rotate270FlipH
    );
    let (width, height) = match is_turned {
        true => (image.height(), image.width()),
        false => (image.width(), image.height()),
    };
    let is_clear =
        preview.color().has_alpha() && preview.to_rgba8().pixels().any(|pixel| pixel.0[3] < u8::MAX);
    let thumbnail = encode(&within(&preview, sizes.thumbnail), is_clear)?;
    let made = encode(&preview, is_clear)?;
    let is_smaller = made.bytes.len() < size;
    Ok(Picture { width, height, thumbnail, preview: is_smaller.then_some(made) })
}

fn within(image: &DynamicImage, side: u32) -> DynamicImage {
    match image.width().max(image.height()) > side {
        true => image.thumbnail(side, side),
        false => image.clone(),
    }
}

/// JPEG is smaller, and WebP can be transparent.
fn encode(image: &DynamicImage, is_clear: bool) -> ImageResult<Made> {
    let mut bytes = Vec::new();
    if is_clear {
        image.to_rgba8().write_with_encoder(WebPEncoder::new_lossless(&mut bytes))?;
        return Ok(Made { bytes, media_type: WEBP });
    }
    image.to_rgb8().write_with_encoder(JpegEncoder::new_with_quality(&mut bytes, QUALITY))?;
    Ok(Made { bytes, media_type: JPEG })
}

#[cfg(test)]
mod tests {
    use image::{Rgb, RgbImage, Rgba, RgbaImage};

    use super::*;

    const SIZES: Sizes = Sizes { pixels: 1_000_000, thumbnail: 32, preview: 100 };

    fn written(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        image.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    fn spots(width: u32, height: u32) -> DynamicImage {
        RgbImage::from_fn(width, height, |x, y| {
            Rgb([(x * 7 % 251) as u8, (y * 5 % 241) as u8, (x * y % 239) as u8])
        })
        .into()
    }

    #[test]
    fn each_format_gets_smaller_pictures() {
        for (format, media_type) in [
            (ImageFormat::Jpeg, "image/jpeg"),
            (ImageFormat::Png, "image/png"),
            (ImageFormat::Gif, "image/gif"),
            (ImageFormat::WebP, "image/webp"),
        ] {
            let bytes = written(&spots(400, 200), format);
            let picture = make(&bytes, media_type, SIZES).unwrap().unwrap();
            assert_eq!((picture.width, picture.height), (400, 200), "{media_type}");
            assert_eq!(picture.thumbnail.media_type, "image/jpeg");
            let small = image::load_from_memory(&picture.thumbnail.bytes).unwrap();
            assert_eq!((small.width(), small.height()), (32, 16), "{media_type}");
            let preview = image::load_from_memory(&picture.preview.unwrap().bytes).unwrap();
            assert_eq!((preview.width(), preview.height()), (100, 50), "{media_type}");
        }
    }

    #[test]
    fn what_is_transparent_stays_so_and_nothing_grows() {
        let image = RgbaImage::from_fn(50, 50, |x, _| Rgba([200, 10, 10, if x < 25 { 0 } else { 255 }]));
        let picture = make(&written(&image.into(), ImageFormat::Png), "image/png", SIZES).unwrap().unwrap();
        assert_eq!(picture.thumbnail.media_type, "image/webp");
        let tiny = written(&spots(2, 2), ImageFormat::Png);
        let picture = make(&tiny, "image/png", SIZES).unwrap().unwrap();
        assert!(picture.preview.is_none(), "a preview that is no smaller is none");
    }

    #[test]
    fn a_profile_that_inflates_is_not_inflated() {
        let mut png = Vec::new();
        let mut encoder = image::codecs::png::PngEncoder::new(&mut png);
        image::ImageEncoder::set_icc_profile(&mut encoder, vec![7; 4 * DECODER_BYTES as usize]).unwrap();
        spots(300, 300).write_with_encoder(encoder).unwrap();
        assert!(png.len() < 1_000_000, "it is small until it is inflated: {}", png.len());
        let mut decoder = reader(&png, ImageFormat::Png, within_memory(0)).into_decoder().unwrap();
        assert!(decoder.icc_profile().unwrap().is_none());
        assert!(make(&png, "image/png", SIZES).unwrap().is_some(), "a picture is shown without its profile");
    }

    #[test]
    fn a_picture_is_shown_as_the_camera_was_held() {
        let sizes = Sizes { preview: 100, ..SIZES };
        for (turn, expected) in [(Orientation::Rotate90, (200, 400)), (Orientation::Rotate180, (400, 200))] {
            let picture = smaller(&spots(400, 200), turn, usize::MAX, sizes).unwrap();
            assert_eq!((picture.width, picture.height), expected);
            let preview = image::load_from_memory(&picture.preview.unwrap().bytes).unwrap();
            assert_eq!((preview.width() * 4, preview.height() * 4), expected);
        }
    }

    #[test]
    fn a_bomb_is_refused_by_its_head_and_damage_is_no_picture() {
        // 50,000 × 50,000 pixels in 33 bytes: the head of a PNG.
        let mut bomb = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\xc3\x50\0\0\xc3\x50\x08\x06\0\0\0".to_vec();
        bomb.extend(crate::files::place::crc32(&bomb[12..]).to_be_bytes());
        bomb.extend(b"\0\0\0\0IDAT\x35\xaf\x06\x1e");
        let refused = make(&bomb, "image/png", SIZES).unwrap_err();
        assert_eq!(refused.kind, Kind::TooLarge);
        assert!(refused.detail.contains("50000 × 50000"), "{}", refused.detail);
        let whole = written(&spots(300, 300), ImageFormat::Png);
        for damaged in [&whole[..0], &whole[..20], &whole[..whole.len() / 2], b"no picture"] {
            assert!(make(damaged, "image/png", SIZES).unwrap().is_none(), "{}", damaged.len());
        }
        assert!(make(&whole, "application/pdf", SIZES).unwrap().is_none());
    }
}
