mod info;

fn main() {}
