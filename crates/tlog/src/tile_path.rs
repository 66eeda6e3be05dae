//! Where a tile is served: the paths of C2SP tlog-tiles, below the prefix of the log.

use std::fmt;
use std::str::FromStr;

use crate::text::parse_decimal;
use crate::tile::TILE_HASHES;

/// Hashes of a full tile, and entries of a full bundle.
const WIDTH_MAX: u16 = 256;
const _: () = assert!(WIDTH_MAX as usize == TILE_HASHES);
/// The format allows levels to 63, though a tree of 2^64 leaves ends at level 7.
const LEVEL_MAX: u8 = 63;

/// What a tile holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TileLevel {
    /// Hashes of that level of tiles, from 0 at the leaves; at most 63.
    Hashes(u8),
    /// The entries themselves, each with its length.
    Entries,
}

/// The path of a tile, such as `tile/0/x001/x234/067.p/5`. It has one spelling only.
///
/// # Source
/// C2SP tlog-tiles, "Merkle Tree" and "Log entries".
///
/// # Examples
/// ```
/// use annals_tlog::{TileLevel, TilePath};
///
/// let path: TilePath = "tile/entries/x001/067.p/5".parse()?;
/// assert_eq!((path.level(), path.index(), path.width()), (TileLevel::Entries, 1067, 5));
/// assert!("tile/0/x000/067".parse::<TilePath>().is_err(), "067 has no group before it");
/// # Ok::<(), annals_tlog::TilePathError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TilePath {
    level: TileLevel,
    index: u64,
    width: u16,
}

/// Why there is no such path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TilePathError {
    /// The level is over 63.
    #[error("tile level {level} exceeds 63")]
    Level {
        /// The level given.
        level: u8,
    },
    /// The width is not from 1 to 256.
    #[error("tile width {width} is not from 1 to 256")]
    Width {
        /// The width given.
        width: u16,
    },
    /// The text is not the path of a tile.
    #[error("not the path of a tile; expected one such as `tile/0/x001/067` or `tile/entries/067.p/5`")]
    Malformed,
}

impl TilePath {
    /// Names tile `index` of a level, with `width` hashes or entries: 256 in a full tile, 1 to 255 in a partial one.
    ///
    /// # Errors
    /// [`TilePathError::Level`] or [`TilePathError::Width`] if the path cannot say it.
    pub fn new(level: TileLevel, index: u64, width: u16) -> Result<TilePath, TilePathError> {
        match level {
            TileLevel::Hashes(level) if level > LEVEL_MAX => Err(TilePathError::Level { level }),
            _ if width == 0 || width > WIDTH_MAX => Err(TilePathError::Width { width }),
            _ => Ok(TilePath { level, index, width }),
        }
    }

    /// What the tile holds.
    pub fn level(&self) -> TileLevel {
        self.level
    }

    /// Number of the tile in its level, from 0.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// Hashes or entries: 256 in a full tile, 1 to 255 in a partial one.
    pub fn width(&self) -> u16 {
        self.width
    }

    /// Whether the tile is full, so that it never changes.
    pub fn is_full(&self) -> bool {
        self.width == WIDTH_MAX
    }
}

impl fmt::Display for TilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.level {
            TileLevel::Hashes(level) => write!(f, "tile/{level}/")?,
            TileLevel::Entries => f.write_str("tile/entries/")?,
        }
        // 10^18 is the largest power of 1000 in a u64.
        for power in (1..=6).rev().map(|groups| 1000u64.pow(groups)).filter(|power| self.index >= *power) {
            write!(f, "x{:03}/", self.index / power % 1000)?;
        }
        write!(f, "{:03}", self.index % 1000)?;
        if self.is_full() { Ok(()) } else { write!(f, ".p/{}", self.width) }
    }
}

impl FromStr for TilePath {
    type Err = TilePathError;

    fn from_str(text: &str) -> Result<TilePath, TilePathError> {
        let path = parse(text).ok_or(TilePathError::Malformed)?;
        // Other spellings of the same number (a group `x000` in front, leading zeros) are refused.
        if path.to_string() == text { Ok(path) } else { Err(TilePathError::Malformed) }
    }
}

fn parse(text: &str) -> Option<TilePath> {
    let (level, rest) = text.strip_prefix("tile/")?.split_once('/')?;
    let level = match level {
        "entries" => TileLevel::Entries,
        number => TileLevel::Hashes(u8::try_from(parse_decimal(number)?).ok()?),
    };
    let (number, width) = match rest.split_once(".p/") {
        Some((number, width)) => (number, u16::try_from(parse_decimal(width)?).ok()?),
        None => (rest, WIDTH_MAX),
    };
    let mut index = 0u64;
    for group in number.split('/') {
        let digits = group.strip_prefix('x').unwrap_or(group);
        if digits.len() != 3 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        index = index.checked_mul(1000)?.checked_add(digits.parse().ok()?)?;
    }
    TilePath::new(level, index, width).ok()
}
