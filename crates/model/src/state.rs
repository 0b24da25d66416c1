use serde::{Deserialize, Serialize};

/// Makes an enum that clients and the ledger know by number.
macro_rules! numbered {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $number:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "i64", into = "i64")]
        pub enum $name { $($(#[$vdoc])* $variant),+ }

        impl $name {
            /// The number that clients see and the ledger stores.
            pub fn number(self) -> i64 {
                match self { $($name::$variant => $number),+ }
            }

            /// Reads a number; `None` where there is no such state.
            pub fn parse(number: i64) -> Option<Self> {
                match number { $($number => Some($name::$variant),)+ _ => None }
            }
        }

        impl TryFrom<i64> for $name {
            type Error = String;
            fn try_from(number: i64) -> Result<Self, String> {
                $name::parse(number).ok_or_else(|| format!("{number} is no {}", stringify!($name)))
            }
        }

        impl From<$name> for i64 {
            fn from(state: $name) -> i64 {
                state.number()
            }
        }
    };
}
pub(crate) use numbered;

numbered! {
    /// `Status` of an instance.
    InstanceStatus {
        /// Accepted, its nodes not started yet.
        Creating = 0,
        /// In a flow.
        Busy = 1,
        /// Running, and free for the next flow.
        Idle = 2,
        /// Isolated: the data is kept, the address is closed (prepaid).
        Isolated = -2,
        /// In the recycle bin: as isolated, until it is deleted (postpaid).
        ToBeDeleted = -3,
    }
}

numbered! {
    /// Part that a node has in its shard. The numbers are those of `NodeType`.
    NodeRole {
        /// Takes the writes.
        Primary = 0,
        /// Follows the primary.
        Replica = 1,
    }
}

numbered! {
    /// How an instance is paid for.
    BillingMode {
        /// By use.
        Postpaid = 0,
        /// By the month, in advance.
        Prepaid = 1,
    }
}

numbered! {
    /// `Status` of a deal (an order).
    DealStatus {
        /// Being delivered: its task is not at its end.
        Delivering = 3,
        /// Delivered.
        Delivered = 4,
        /// Could not be delivered.
        Failed = 5,
    }
}
