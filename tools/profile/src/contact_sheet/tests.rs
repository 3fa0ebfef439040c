use super::*;

/// Decodes a PNG of red, green and blue bytes into its width, height and pixels.
pub fn decoded(file: &[u8]) -> (usize, usize, Vec<u8>) {
    let mut reader = png::Decoder::new(std::io::Cursor::new(file)).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let frame = reader.next_frame(&mut pixels).unwrap();
    assert_eq!(frame.color_type, png::ColorType::Rgb);
    (frame.width as usize, frame.height as usize, pixels)
}

fn sheet_of(weights: &[&[f32]], title: &str) -> (usize, usize, Vec<u8>) {
    let pictures: Vec<Picture> = weights.iter().map(|weights| Picture::planar("ship", weights).unwrap()).collect();
    decoded(&contact_sheet(&pictures, title).unwrap())
}

pub fn pixel((width, _, pixels): &(usize, usize, Vec<u8>), x: usize, y: usize) -> [u8; 3] {
    let at = 3 * (y * width + x);
    pixels[at..at + 3].try_into().unwrap()
}

#[test]
fn ten_classes_make_two_rows_of_five() {
    let weights = [0.0; VALUES];
    let (width, height, _) = sheet_of(&[&weights[..]; 10], "Templates");
    assert_eq!((width, height), (768, 400));
}

#[test]
fn weights_are_stretched_over_all_channels() {
    let mut weights = [0.0; VALUES];
    weights[0] = 3.0; // red, first pixel
    weights[SIDE * SIDE + 1] = -1.0; // green, second pixel
    weights[3 * SIDE * SIDE - 1] = 1.0; // blue, last pixel
    let sheet = sheet_of(&[&weights], "");
    let zoom = IMAGE / SIDE;
    assert_eq!(pixel(&sheet, MARGIN, MARGIN), [255, 64, 64]);
    assert_eq!(pixel(&sheet, MARGIN + zoom - 1, MARGIN + zoom - 1), [255, 64, 64]);
    assert_eq!(pixel(&sheet, MARGIN + zoom, MARGIN), [64, 0, 64]);
    assert_eq!(pixel(&sheet, MARGIN + IMAGE - 1, MARGIN + IMAGE - 1), [64, 64, 128]);
    assert_eq!(pixel(&sheet, MARGIN - 1, MARGIN), [255; 3]);
}

#[test]
fn weights_that_show_nothing_are_grey() {
    let middle = (MARGIN + IMAGE / 2, MARGIN + IMAGE / 2);
    for weight in [0.0, -3.5, f32::NAN, f32::INFINITY] {
        let sheet = sheet_of(&[&[weight; VALUES]], "");
        assert_eq!(pixel(&sheet, middle.0, middle.1), [MID_GREY; 3]);
    }
    let mut weights = [f32::MAX; VALUES];
    weights[0] = f32::MIN;
    weights[1] = f32::NEG_INFINITY;
    let sheet = sheet_of(&[&weights], "");
    assert_eq!(pixel(&sheet, MARGIN, MARGIN), [0, 255, 255]);
    assert_eq!(pixel(&sheet, MARGIN + IMAGE / SIDE, MARGIN), [MID_GREY, 255, 255]);
}

#[test]
fn filters_are_enlarged_to_the_same_size() {
    let mut values = [0.0; 75];
    values[3 * 24] = 1.0; // red, last pixel
    let picture = Picture::channels_last("0", 5, &values).unwrap();
    let sheet = decoded(&contact_sheet(&[picture], "").unwrap());
    // 25 times 5 pixels, in the middle of 128.
    let first = MARGIN + 1;
    assert_eq!(pixel(&sheet, first - 1, first), [255; 3]);
    assert_eq!(pixel(&sheet, first, first), [0; 3]);
    assert_eq!(pixel(&sheet, first + 124, first + 124), [255, 0, 0]);
    assert_eq!(pixel(&sheet, first + 99, first + 124), [0; 3]);
}

#[test]
fn title_and_names_are_written() {
    let weights = [0.0; VALUES];
    let sheet = sheet_of(&[&weights], "One class");
    let dark = |top: usize, height: usize| {
        let rows = top..top + height;
        rows.flat_map(|y| (0..sheet.0).map(move |x| (x, y))).filter(|(x, y)| pixel(&sheet, *x, *y)[0] < 100).count()
    };
    assert!(dark(MARGIN, TITLE.height()) > 50);
    assert!(dark(grid_top(1) + IMAGE + LABEL_GAP, LABEL.height()) > 20);
    assert_eq!(dark(0, MARGIN), 0);
}

#[test]
fn wrong_pictures_are_refused() {
    assert!(contact_sheet(&[], "none").is_err());
    let weights = [0.0; VALUES + 1];
    for length in [0, VALUES - 1, VALUES + 1] {
        let error = Picture::planar("cat", &weights[..length]).unwrap_err().to_string();
        assert!(error.contains("cat") && error.contains(&length.to_string()), "{error}");
    }
    for (width, length) in [(0, 75), (5, 0), (5, 74), (4, 75)] {
        assert!(Picture::channels_last("filter", width, &weights[..length]).is_err(), "{width} {length}");
    }
}

#[test]
fn grids_are_full_when_they_can_be() {
    let grids = [(1, 1), (2, 2), (3, 3), (4, 2), (5, 5), (6, 3), (7, 3), (10, 5), (11, 4), (100, 10)];
    for (count, expected) in grids {
        assert_eq!(columns(count), expected, "{count} templates");
    }
}

#[test]
fn long_texts_are_wrapped_or_cut() {
    assert_eq!(wrapped("two words", 9), ["two words"]);
    assert_eq!(wrapped("two words", 8), ["two", "words"]);
    assert_eq!(wrapped("unbreakable", 8), ["unbrea.."]);
    assert!(wrapped("  ", 8).is_empty());
    let weights = [0.0; VALUES];
    let class_name = "猫 with a name that is far too long for its picture";
    let pictures = [Picture::planar(class_name, &weights).unwrap()];
    decoded(&contact_sheet(&pictures, "a title of many words 猫 for a narrow sheet").unwrap());
}

#[test]
fn png_rgb_keeps_pixels_and_checks_their_number() {
    let pixels = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
    assert_eq!(decoded(&png_rgb(2, 2, &pixels).unwrap()), (2, 2, pixels.to_vec()));
    assert!(png_rgb(2, 3, &pixels).is_err());
    assert!(png_rgb(0, 0, &[]).is_err());
    assert!(png_rgb(usize::MAX, 2, &pixels).is_err());
}
