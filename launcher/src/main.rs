mod view;

fn main() {}
