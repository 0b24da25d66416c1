use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::Value;

/// The declared fields of a request or an answer, or of an object within one. Made once for an action, out of the
/// schema that its type derives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Sorted by name.
    fields: Vec<Field>,
}

/// A declared field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// As clients write it.
    pub name: String,
    /// Its type.
    pub kind: Kind,
    /// Whether a request without it is refused.
    pub required: bool,
    /// Whether it is declared as an `Option`. In a request null is absent for every field.
    pub nullable: bool,
    /// Whether JSON may give an integer as a string of digits too, or such a string as a number. Declared by
    /// `#[schemars(extend("x-lenient" = true))]`, for a parameter that known clients send so.
    pub lenient: bool,
    /// Its doc comment; empty where there is none.
    pub description: String,
}

/// A declared type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A text, of which an action may know only some values.
    String,
    /// A whole number between these two, both included.
    Integer {
        /// Zero or above for an unsigned type.
        min: i128,
        /// At most `u64::MAX`.
        max: i128,
    },
    /// A number with a fraction.
    Float,
    /// True or false.
    Bool,
    /// A list of values of one type.
    List(Box<Kind>),
    /// An object with named fields.
    Object(Shape),
}

impl Kind {
    /// The type's name in messages and in the catalogue.
    pub fn name(&self) -> &'static str {
        match self {
            Kind::String => "string",
            Kind::Integer { min: 0, .. } => "uint64",
            Kind::Integer { .. } => "int64",
            Kind::Float => "float",
            Kind::Bool => "bool",
            Kind::List(_) => "list",
            Kind::Object(_) => "object",
        }
    }
}

impl Shape {
    /// The shape of the request type `T`, as serde reads it.
    ///
    /// # Panics
    /// If `T` is not a struct of strings, numbers, booleans, lists and such structs: no request can be declared so.
    pub fn of<T: JsonSchema>() -> Shape {
        Shape::declared::<T>(SchemaSettings::draft2020_12().for_deserialize())
    }

    /// The shape of the answer type `T`, as serde writes it.
    ///
    /// # Panics
    /// As [`Shape::of`].
    pub fn of_answer<T: JsonSchema>() -> Shape {
        Shape::declared::<T>(SchemaSettings::draft2020_12().for_serialize())
    }

    fn declared<T: JsonSchema>(settings: SchemaSettings) -> Shape {
        let schema = settings.with(|s| s.inline_subschemas = true).into_generator().into_root_schema_for::<T>();
        match read_kind(schema.as_value()) {
            Ok((Kind::Object(shape), _)) => shape,
            Ok((other, _)) => panic!("{} is declared as {}, not as an object", T::schema_name(), other.name()),
            Err(what) => panic!("{} has {what}, which no parameter can have", T::schema_name()),
        }
    }

    /// All fields, sorted by name.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// The field of that name.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.binary_search_by(|field| field.name.as_str().cmp(name)).ok().map(|at| &self.fields[at])
    }
}

/// The type that a schema describes, and whether it may be null.
fn read_kind(schema: &Value) -> Result<(Kind, bool), String> {
    if let Some(variants) = schema.get("anyOf").and_then(Value::as_array) {
        let (nulls, others): (Vec<_>, Vec<_>) = variants.iter().partition(|variant| variant["type"] == "null");
        return match others.as_slice() {
            [only] => Ok((read_kind(only)?.0, !nulls.is_empty())),
            _ => Err(format!("a choice of types: {schema}")),
        };
    }
    if let Some(variants) = schema.get("oneOf").and_then(Value::as_array) {
        // An enum with documented variants.
        let texts = variants.iter().all(|variant| variant["type"] == "string");
        return if texts { Ok((Kind::String, false)) } else { Err(format!("a choice of types: {schema}")) };
    }
    let (name, nullable) = match &schema["type"] {
        Value::String(name) => (name.as_str(), false),
        Value::Array(names) => {
            let mut others = names.iter().filter_map(Value::as_str).filter(|name| *name != "null");
            match (others.next(), others.next()) {
                (Some(name), None) => (name, names.len() > 1),
                _ => return Err(format!("a choice of types: {schema}")),
            }
        }
        _ => return Err(format!("the schema {schema}")),
    };
    let kind = match name {
        "string" => Kind::String,
        "integer" => read_range(schema["format"].as_str().unwrap_or("int64"))?,
        "number" => Kind::Float,
        "boolean" => Kind::Bool,
        "array" => Kind::List(Box::new(read_kind(&schema["items"])?.0)),
        "object" => Kind::Object(read_object(schema)?),
        other => return Err(format!("the type {other}")),
    };
    Ok((kind, nullable))
}

/// The range is the type's. Bounds that a schema declares on top are for readers: what lies outside gets the action's
/// own error code.
fn read_range(format: &str) -> Result<Kind, String> {
    let (min, max) = match format {
        "int8" => (i8::MIN.into(), i8::MAX.into()),
        "int16" => (i16::MIN.into(), i16::MAX.into()),
        "int32" => (i32::MIN.into(), i32::MAX.into()),
        "int64" | "int" => (i64::MIN.into(), i64::MAX.into()),
        "uint8" => (0, u8::MAX.into()),
        "uint16" => (0, u16::MAX.into()),
        "uint32" => (0, u32::MAX.into()),
        "uint64" | "uint" => (0, u64::MAX.into()),
        other => return Err(format!("the integer format {other}")),
    };
    Ok(Kind::Integer { min, max })
}

fn read_object(schema: &Value) -> Result<Shape, String> {
    let required = |name: &str| {
        let names = schema["required"].as_array();
        names.is_some_and(|names| names.iter().any(|required| required == name))
    };
    if schema.get("additionalProperties").is_some_and(|members| members != false) {
        return Err(format!("members of any name: {schema}"));
    }
    let mut fields = Vec::new();
    for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
        let (kind, nullable) = read_kind(schema).map_err(|what| format!("{what} in {name}"))?;
        fields.push(Field {
            name: name.clone(),
            kind,
            required: required(name),
            nullable,
            lenient: schema["x-lenient"] == true,
            description: schema["description"].as_str().unwrap_or_default().to_owned(),
        });
    }
    fields.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Shape { fields })
}
