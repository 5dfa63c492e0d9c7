#![allow(missing_docs, unused, clippy::all, clippy::pedantic)]
use crate::*;
use std::sync::Arc;
#[derive(Clone, Debug, Default)]
pub struct Model;
impl Model {
    pub fn id_field(&self) -> Option<&str> { None }
    pub fn default_id(&self) -> Option<Value> { None }
    pub fn is_default_id(&self, _v: Option<&Value>) -> bool { false }
    pub fn defaults(&self, _now: Date) -> Record { Record::new() }
    pub fn editable(&self, _f: &str) -> bool { true }
    pub fn knows(&self, _f: &str) -> bool { true }
    pub fn parse_field(&self, _f: &str, v: Value) -> Value { v }
    pub fn read_stored(&self, r: Record, _c: bool, _z: &Zone) -> Record { r }
    pub fn write(&self, r: Record) -> Record { r }
    pub fn source_of<'a>(&'a self, f: &'a str) -> &'a str { f }
}
#[derive(Clone, Debug, Default)]
pub struct Zone;
#[derive(Clone, Debug, Default)]
pub struct Schema { z: Zone }
pub struct WriteAnswer { pub rows: Option<Vec<Record>>, pub errors: Option<Value> }
#[derive(Default)]
pub struct ReadAnswer { pub rows: Vec<Record>, pub groups: Option<Vec<ServerGroup>>, pub total: Option<usize>, pub errors: Option<Value>, pub aggregates: Option<Record> }
pub struct ServerGroup { pub head: Record, pub items: ServerItems }
pub enum ServerItems { Groups(Vec<ServerGroup>), Rows(Vec<Record>) }
impl Schema {
    pub fn model(&self) -> Option<&Model> { None }
    pub fn zone(&self) -> &Zone { &self.z }
    pub fn with_model(self, _m: Model) -> Self { self }
    pub fn from_value(_v: &Value) -> Result<Self> { Ok(Self::default()) }
    pub fn read_answer(&self, _v: Option<Value>, _g: bool) -> Result<ReadAnswer> { todo!() }
    pub fn write_answer(&self, _v: Option<Value>) -> Result<WriteAnswer> { todo!() }
    pub fn serialize(&self, _r: Vec<Record>) -> Option<Value> { None }
}
pub struct Path;
impl Path {
    pub fn parse(_s: &str) -> Self { Path }
    pub fn get<'a>(&self, _r: &'a Record) -> Option<&'a Value> { None }
    pub fn set_strict(&self, _r: &mut Record, _v: Value) -> Result<()> { Ok(()) }
}
#[derive(Clone, Debug)]
pub struct Sort { pub field: Text }
#[derive(Clone, Debug)]
pub struct Filter;
#[derive(Clone, Debug)]
pub struct Group { pub field: Text, pub aggregates: Vec<Aggregate> }
#[derive(Clone, Debug)]
pub struct Aggregate { pub field: Text, pub name: Text }
pub enum Direction { Asc }
pub struct Field; pub struct FieldType;
impl Sort { pub fn list_from_value(_v: &Value) -> Result<Vec<Self>> { Ok(vec![]) } pub fn list_to_value(_s: &[Self], _n: &dyn Fn(&str) -> String) -> Value { Value::Null } }
impl Group { pub fn list_from_value(_v: &Value) -> Result<Vec<Self>> { Ok(vec![]) } pub fn list_to_value(_s: &[Self], _n: &dyn Fn(&str) -> String) -> Value { Value::Null } }
impl Aggregate { pub fn list_from_value(_v: &Value) -> Result<Vec<Self>> { Ok(vec![]) } pub fn list_to_value(_s: &[Self], _n: &dyn Fn(&str) -> String) -> Value { Value::Null } }
impl Filter { pub fn from_value(_v: &Value) -> Result<Option<Self>> { Ok(None) } pub fn to_value(&self, _n: &dyn Fn(&str) -> String) -> Value { Value::Null } pub fn fields(&self) -> Vec<String> { vec![] } }
#[derive(Clone, Debug, Default)]
pub struct Query { pub filter: Option<Filter>, pub sort: Vec<Sort>, pub group: Vec<Group>, pub skip: Option<usize>, pub take: Option<usize>, pub locale: Option<String> }
#[derive(Clone, Debug)]
pub enum View { Rows(Vec<u32>), Groups(Vec<ViewGroup>) }
#[derive(Clone, Debug)]
pub struct ViewGroup { pub field: Text, pub value: Option<Value>, pub has_subgroups: bool, pub aggregates: Record, pub items: View }
pub struct Processed { pub view: View, pub total: Option<usize> }
pub trait Rows { fn len(&self) -> usize; fn record(&self, index: usize) -> &Record; }
pub fn process(_r: &dyn Rows, _q: &Query) -> Processed { todo!() }
pub fn aggregates(_r: &dyn Rows, _f: Option<&Filter>, _a: &[Aggregate]) -> Record { todo!() }
