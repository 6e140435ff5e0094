//! Where benches compute: on the CPU in f32, or as DDGAN_BENCH_DEVICE (cuda, cuda:N), DDGAN_BENCH_PRECISION (bf16) and
//! DDGAN_BENCH_CONV (cudnn, auto) say.

use std::env;
use std::str::FromStr;
use std::sync::OnceLock;

use ddgan::tensor::{DType, Device, DeviceName, Precision};

pub struct Place {
    pub device: Device,
    pub precision: Precision,
}

impl Place {
    /// The same for the whole program. Panics where the environment asks for what there is not.
    pub fn get() -> &'static Place {
        static PLACE: OnceLock<Place> = OnceLock::new();
        PLACE.get_or_init(|| {
            let device = variable("DDGAN_BENCH_DEVICE", DeviceName::Cpu).open().expect("DDGAN_BENCH_DEVICE");
            let precision = match env::var("DDGAN_BENCH_PRECISION").as_deref() {
                Ok("bf16") => Precision::Bf16,
                Err(_) | Ok("f32") => Precision::F32,
                Ok(other) => panic!("DDGAN_BENCH_PRECISION is {other}, expected f32 or bf16"),
            };
            let convolver = variable("DDGAN_BENCH_CONV", Default::default());
            device.choose_convolver(convolver, None).expect("DDGAN_BENCH_CONV");
            Place { device, precision }
        })
    }

    /// The type that networks compute in.
    pub fn dtype(&self) -> DType {
        self.precision.on(&self.device).expect("a precision that the device has")
    }
}

fn variable<T: FromStr<Err = ddgan::Error>>(name: &str, otherwise: T) -> T {
    env::var(name).map_or(otherwise, |text| text.parse().unwrap_or_else(|error| panic!("{name} is {text}: {error}")))
}
