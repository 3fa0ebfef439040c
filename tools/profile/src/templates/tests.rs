use super::*;

/// Decodes a PNG of red, green and blue bytes into its width, height and pixels.
fn decoded(file: &[u8]) -> (usize, usize, Vec<u8>) {
    let mut reader = png::Decoder::new(std::io::Cursor::new(file)).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let frame = reader.next_frame(&mut pixels).unwrap();
    assert_eq!(frame.color_type, png::ColorType::Rgb);
    (frame.width as usize, frame.height as usize, pixels)
}

fn sheet_of(weights: &[&[f32]], title: &str) -> (usize, usize, Vec<u8>) {
    let template = |weights| Template { class_name: "ship", weights };
    let templates: Vec<Template> = weights.iter().copied().map(template).collect();
    decoded(&contact_sheet(&templates, title).unwrap())
}

fn pixel((width, _, pixels): &(usize, usize, Vec<u8>), x: usize, y: usize) -> [u8; 3] {
    let at = 3 * (y * width + x);
    pixels[at..at + 3].try_into().unwrap()
}

#[test]
fn ten_classes_make_two_rows_of_five() {
    let weights = [0.0; WEIGHTS];
    let (width, height, _) = sheet_of(&[&weights[..]; 10], "Templates");
    assert_eq!((width, height), (768, 400));
}

#[test]
fn weights_are_stretched_over_all_channels() {
    let mut weights = [0.0; WEIGHTS];
    weights[0] = 3.0; // red, first pixel
    weights[SIDE * SIDE + 1] = -1.0; // green, second pixel
    weights[3 * SIDE * SIDE - 1] = 1.0; // blue, last pixel
    let sheet = sheet_of(&[&weights], "");
    assert_eq!(pixel(&sheet, MARGIN, MARGIN), [255, 64, 64]);
    assert_eq!(pixel(&sheet, MARGIN + ZOOM - 1, MARGIN + ZOOM - 1), [255, 64, 64]);
    assert_eq!(pixel(&sheet, MARGIN + ZOOM, MARGIN), [64, 0, 64]);
    assert_eq!(pixel(&sheet, MARGIN + IMAGE - 1, MARGIN + IMAGE - 1), [64, 64, 128]);
    assert_eq!(pixel(&sheet, MARGIN - 1, MARGIN), [255; 3]);
}

#[test]
fn weights_that_show_nothing_are_grey() {
    let middle = (MARGIN + IMAGE / 2, MARGIN + IMAGE / 2);
    for weight in [0.0, -3.5, f32::NAN, f32::INFINITY] {
        let sheet = sheet_of(&[&[weight; WEIGHTS]], "");
        assert_eq!(pixel(&sheet, middle.0, middle.1), [MID_GREY; 3]);
    }
    let mut weights = [f32::MAX; WEIGHTS];
    weights[0] = f32::MIN;
    weights[1] = f32::NEG_INFINITY;
    let sheet = sheet_of(&[&weights], "");
    assert_eq!(pixel(&sheet, MARGIN, MARGIN), [0, 255, 255]);
    assert_eq!(pixel(&sheet, MARGIN + ZOOM, MARGIN), [MID_GREY, 255, 255]);
}

#[test]
fn title_and_names_are_written() {
    let weights = [0.0; WEIGHTS];
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
fn wrong_templates_are_refused() {
    assert!(contact_sheet(&[], "none").is_err());
    let weights = [0.0; WEIGHTS + 1];
    for length in [0, WEIGHTS - 1, WEIGHTS + 1] {
        let template = Template { class_name: "cat", weights: &weights[..length] };
        let error = contact_sheet(&[template], "").unwrap_err().to_string();
        assert!(error.contains("cat") && error.contains(&length.to_string()), "{error}");
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
    let weights = [0.0; WEIGHTS];
    let class_name = "猫 with a name that is far too long for its picture";
    let templates = [Template { class_name, weights: &weights }];
    decoded(&contact_sheet(&templates, "a title of many words 猫 for a narrow sheet").unwrap());
}

#[test]
fn png_rgb_keeps_pixels_and_checks_their_number() {
    let pixels = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
    assert_eq!(decoded(&png_rgb(2, 2, &pixels).unwrap()), (2, 2, pixels.to_vec()));
    assert!(png_rgb(2, 3, &pixels).is_err());
    assert!(png_rgb(0, 0, &[]).is_err());
    assert!(png_rgb(usize::MAX, 2, &pixels).is_err());
}
