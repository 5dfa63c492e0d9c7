#![allow(missing_docs, unused, clippy::all, clippy::pedantic)]
use crate::*;
use std::sync::Arc;
#[derive(Clone, Debug)]
pub struct Sort {
    pub field: Text,
}
#[derive(Clone, Debug)]
pub struct Filter;
#[derive(Clone, Debug)]
pub struct Group {
    pub field: Text,
    pub aggregates: Vec<Aggregate>,
}
#[derive(Clone, Debug)]
pub struct Aggregate {
    pub field: Text,
    pub name: Text,
}
pub enum Direction {
    Asc,
}
impl Sort {
    pub fn list_from_value(_v: &Value) -> Result<Vec<Self>> {
        Ok(vec![])
    }
    pub fn list_to_value(_s: &[Self], _n: &dyn Fn(&str) -> String) -> Value {
        Value::Null
    }
}
impl Group {
    pub fn list_from_value(_v: &Value) -> Result<Vec<Self>> {
        Ok(vec![])
    }
    pub fn list_to_value(_s: &[Self], _n: &dyn Fn(&str) -> String) -> Value {
        Value::Null
    }
}
impl Aggregate {
    pub fn list_from_value(_v: &Value) -> Result<Vec<Self>> {
        Ok(vec![])
    }
    pub fn list_to_value(_s: &[Self], _n: &dyn Fn(&str) -> String) -> Value {
        Value::Null
    }
}
impl Filter {
    pub fn from_value(_v: &Value) -> Result<Option<Self>> {
        Ok(None)
    }
    pub fn to_value(&self, _n: &dyn Fn(&str) -> String) -> Value {
        Value::Null
    }
    pub fn fields(&self) -> Vec<String> {
        vec![]
    }
}
#[derive(Clone, Debug, Default)]
pub struct Query {
    pub filter: Option<Filter>,
    pub sort: Vec<Sort>,
    pub group: Vec<Group>,
    pub skip: Option<usize>,
    pub take: Option<usize>,
    pub locale: Option<String>,
}
#[derive(Clone, Debug)]
pub enum View {
    Rows(Vec<u32>),
    Groups(Vec<ViewGroup>),
}
#[derive(Clone, Debug)]
pub struct ViewGroup {
    pub field: Text,
    pub value: Option<Value>,
    pub has_subgroups: bool,
    pub aggregates: Record,
    pub items: View,
}
pub struct Processed {
    pub view: View,
    pub total: Option<usize>,
}
pub trait Rows {
    fn len(&self) -> usize;
    fn record(&self, index: usize) -> &Record;
}
pub fn process(_r: &dyn Rows, _q: &Query) -> Processed {
    todo!()
}
pub fn aggregates(_r: &dyn Rows, _f: Option<&Filter>, _a: &[Aggregate]) -> Record {
    todo!()
}
