//! Pictures: smaller ones are made, bombs are refused, places are removed; and links show them in a page.

use std::io::Cursor;

use image::{DynamicImage, ImageFormat, Rgb, RgbImage};

use super::*;

pub fn photo(width: u32, height: u32, format: ImageFormat) -> Vec<u8> {
    let image =
        RgbImage::from_fn(width, height, |x, y| Rgb([(x % 251) as u8, (y % 241) as u8, (x * y % 239) as u8]));
    let mut bytes = Cursor::new(Vec::new());
    DynamicImage::from(image).write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// The photo of a camera that was turned, with the place where it stood.
fn photo_with_place() -> Vec<u8> {
    let mut tiff = b"II*\0\x08\0\0\0".to_vec();
    tiff.extend(b"\x02\0");
    tiff.extend(b"\x12\x01\x03\0\x01\0\0\0\x06\0\0\0");
    tiff.extend(b"\x25\x88\x04\0\x01\0\0\0\x26\0\0\0");
    tiff.extend(b"\0\0\0\0");
    tiff.extend(b"\x01\0\x02\0\x05\0\x03\0\0\0\x38\0\0\0\0\0\0\0");
    tiff.extend(39_u32.to_le_bytes().into_iter().chain(1_u32.to_le_bytes()));
    tiff.extend(*b"GPS-39-54-26-N..");
    let xmp = b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta><a exif:GPSLatitude=\"39,54.43N\"/></x:xmpmeta>";
    let segment = |content: &[u8]| {
        let length = u16::try_from(content.len() + 2).unwrap().to_be_bytes();
        [b"\xff\xe1", &length[..], content].concat()
    };
    let plain = photo(700, 300, ImageFormat::Jpeg);
    [&plain[..2], &segment(&[b"Exif\0\0", &tiff[..]].concat()), &segment(xmp), &plain[2..]].concat()
}

async fn form(person: &Client, id: &str, form: &str) -> (Reply, DynamicImage) {
    let (reply, bytes) = person.raw("GET", &format!("/files/{id}/content?form={form}"), &[], &[]).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    (reply, image::load_from_memory(&bytes).expect("a picture"))
}

#[tokio::test]
async fn a_picture_gets_a_thumbnail_and_a_preview() {
    let app =
        TestApp::start_with(&format!("{SMALL}file_preview_pixels = 640\nfile_thumbnail_pixels = 100\n"))
            .await;
    app.people(&["a"]).await;
    let a = app.person("a");
    let bytes = photo(1_600, 900, ImageFormat::Png);
    let file = put(&a, "cat.png", &bytes).await;
    assert_eq!(
        (&file["media_type"], &file["width"], &file["height"]),
        (&json!("image/png"), &json!(1_600), &json!(900))
    );
    assert_eq!(file["forms"], json!(["preview", "thumbnail"]));
    let id = text(&file["file_id"]);
    assert!(read(&a, &id).await == bytes, "without a place the file stays as it is");
    let (reply, thumbnail) = form(&a, &id, "thumbnail").await;
    assert_eq!((thumbnail.width(), thumbnail.height()), (100, 56));
    assert_eq!(reply.header("content-type"), "image/jpeg");
    assert!(reply.header("content-disposition").starts_with("inline;"));
    assert_eq!(reply.header("etag"), format!("\"{}-thumbnail\"", hex(&bytes)));
    let (_, preview) = form(&a, &id, "preview").await;
    assert_eq!((preview.width(), preview.height()), (640, 360));
    a.get(&format!("/files/{id}/content?form=poster")).await.expect(400);
    let plain = text(&put(&a, "notes.txt", b"hello").await["file_id"]);
    a.get(&format!("/files/{plain}/content?form=thumbnail")).await.expect_problem(404, "not-found");
    a.delete(&format!("/files/{id}")).await.expect(204);
    holds(&app, 1).await;
}

#[tokio::test]
async fn a_bomb_is_refused_before_it_is_decoded_and_nothing_stays() {
    let app = TestApp::start().await;
    app.people(&["a"]).await;
    let a = app.person("a");
    // 50,000 × 50,000 pixels: 10 GB, in a file of 57 bytes whose checksums are right.
    let mut bomb =
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\xc3\x50\0\0\xc3\x50\x08\x06\0\0\0\x4b\xaf\x3d\xca".to_vec();
    bomb.extend(b"\0\0\0\0IDAT\x35\xaf\x06\x1e\0\0\0\0IEND\xae\x42\x60\x82");
    let problem = a.raw("POST", "/files?name=b.png", &[], &bomb).await.0.expect_problem(413, "too-large");
    assert_eq!(problem["detail"], "the picture has 50000 × 50000 pixels, and 50000000 in all are allowed");
    let id = begin(&a, "b.png", bomb.len()).await;
    send(&a, &id, 0, &bomb).await.expect_problem(413, "too-large");
    a.get(&format!("/files/{id}")).await.expect(404);
    holds(&app, 0).await;
    // A picture without its head is no picture, and still a file.
    let file = put(&a, "cut.jpg", &photo(300, 300, ImageFormat::Jpeg)[..40]).await;
    assert_eq!((&file["media_type"], &file["width"]), (&json!("image/jpeg"), &json!(null)));
}

#[tokio::test]
async fn the_place_of_a_picture_is_removed_and_how_the_camera_was_held_is_not() {
    let app = TestApp::start_with(SMALL).await;
    app.people(&["a"]).await;
    let a = app.person("a");
    let bytes = photo_with_place();
    let has_place = |bytes: &[u8]| {
        let has = |needle: &[u8]| bytes.windows(needle.len()).any(|part| part == needle);
        has(b"39,54.43N") || has(&[&39_u32.to_le_bytes()[..], &1_u32.to_le_bytes()].concat())
    };
    assert!(has_place(&bytes) && bytes.len() > PIECE);
    let begun = begin(&a, "photo.jpg", bytes.len()).await;
    assert_eq!(send(&a, &begun, 0, &bytes).await.status, 204);
    assert_eq!(offset(&a, &begun).await, bytes.len());
    let file = a.get(&format!("/files/{begun}")).await.expect(200);
    assert_eq!((&file["width"], &file["height"]), (&json!(300), &json!(700)), "as it is shown");
    let stored = read(&a, &begun).await;
    assert_eq!((stored.len(), &file["sha256"]), (bytes.len(), &json!(hex(&stored))));
    assert!(!has_place(&stored) && stored != bytes);
    let (_, thumbnail) = form(&a, &begun, "thumbnail").await;
    assert_eq!((thumbnail.width(), thumbnail.height()), (137, 320));
    let pieces = bytes.len().div_ceil(PIECE) + file["forms"].as_array().unwrap().len();
    holds(&app, pieces).await;
    let keeping = TestApp::start_with("file_remove_place = false\n").await;
    keeping.people(&["a"]).await;
    let a = keeping.person("a");
    let id = text(&put(&a, "photo.jpg", &bytes).await["file_id"]);
    assert!(read(&a, &id).await == bytes);
}

#[tokio::test]
async fn a_link_shows_a_file_without_a_sign_in_for_some_minutes() {
    let mut app = TestApp::start_with(KEY).await;
    app.people(&["a", "b"]).await;
    let a = app.person("a");
    let id = text(&put(&a, "cat.png", &photo(800, 600, ImageFormat::Png)).await["file_id"]);
    let link = a.get(&format!("/files/{id}/link?form=thumbnail")).await.expect(200);
    let url = text(&link["url"]);
    assert!(url.starts_with("/api/v1/files/linked/"), "{url}");
    let outside = Client::anonymous(&app.base);
    let (reply, bytes) = outside.raw("GET", &url, &[], &[]).await;
    assert_eq!((reply.status, reply.header("content-type")), (200, "image/jpeg"));
    assert_eq!(image::load_from_memory(&bytes).unwrap().width(), 320);
    assert_eq!(reply.header("content-security-policy"), "sandbox; default-src 'none'");
    assert_eq!(outside.raw("GET", &url, &[("range", "bytes=0-9")], &[]).await.0.status, 206);
    let mut forged = url.clone().into_bytes();
    let at = forged.len() - 5;
    forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
    outside.get(&String::from_utf8(forged).unwrap()).await.expect_problem(404, "not-found");
    app.person("b").get(&format!("/files/{id}/link")).await.expect(404);
    a.get(&format!("/files/{id}/link?form=preview&form=thumbnail")).await.expect(400);
    // It ends with the user for whom it was made, and by itself.
    let left = json!({"users": [{"user_id": "a", "name": "A", "active": false}]});
    app.client("hr", &["directory"]).post("/directory/changes", left).await.expect(200);
    outside.get(&url).await.expect(404);
    let back = json!({"users": [{"user_id": "a", "name": "A", "active": true}]});
    app.client("hr", &["directory"]).post("/directory/changes", back).await.expect(200);
    assert_eq!(outside.raw("GET", &url, &[], &[]).await.0.status, 200);
    app.clock("6 minutes").await;
    Client::anonymous(&app.base).get(&url).await.expect(404);
    app.set("file_link_keys", "[]");
    app.halt().await;
    app.run().await;
    let problem = app.person("a").get(&format!("/files/{id}/link")).await.expect_problem(409, "conflict");
    assert_eq!(problem["detail"], "set `file_link_keys` to make links");
}
