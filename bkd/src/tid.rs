//! Row addresses, as Postgres' `ItemPointerData`: a heap block and a line pointer in it.

/// Address of a heap row. Offsets of real rows start at 1; offset 0 marks an entry that VACUUM has removed ([`Tid::DEAD`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tid {
    /// Block of the heap.
    pub block: u32,
    /// Line pointer in the block, from 1 on.
    pub offset: u16,
}

impl Tid {
    /// Bytes of a TID on disk.
    pub const SIZE: usize = 6;
    /// What VACUUM writes over the TID of a removed row.
    pub const DEAD: Tid = Tid { block: 0, offset: 0 };

    /// The address of a line pointer.
    pub fn new(block: u32, offset: u16) -> Self {
        Tid { block, offset }
    }

    /// Whether this stands for a row that VACUUM has removed.
    pub fn is_dead(self) -> bool {
        self.offset == 0
    }

    /// Reads a TID from the first [`Tid::SIZE`] bytes.
    pub fn read(bytes: &[u8]) -> Self {
        Tid {
            block: u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]),
            offset: u16::from_le_bytes([bytes[4], bytes[5]]),
        }
    }

    /// Writes a TID into the first [`Tid::SIZE`] bytes.
    pub fn write(self, bytes: &mut [u8]) {
        bytes[..4].copy_from_slice(&self.block.to_le_bytes());
        bytes[4..6].copy_from_slice(&self.offset.to_le_bytes());
    }
}
