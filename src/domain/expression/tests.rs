//! Tables of expressions: their answers, their errors, and the same answers as those of the
//! library's own evaluation, where that is safe to run.

use serde_json::{Value, json};

use super::{EvaluationError, Expression};

fn object() -> Value {
    json!({
        "apiVersion": "example.com/v1", "kind": "Widget",
        "metadata": {"name": "web", "generation": 2, "labels": {"app": "web", "a.b/c": "d"}},
        "spec": {"replicas": 3, "ratio": 1.5, "paused": false, "zones": ["a", "b", "c"], "nothing": null},
        "status": {
            "observedGeneration": 2, "readyReplicas": 3, "phase": "Running", "since": "2026-01-02T03:04:05Z",
            "big": 18_446_744_073_709_551_615u64,
            "conditions": [
                {"type": "Ready", "status": "True", "reason": "Up"},
                {"type": "Synced", "status": "False"},
            ],
        },
    })
}

fn holds(text: &str) -> Result<bool, EvaluationError> {
    let object = object();
    let variables: Vec<(&str, &Value)> =
        object.as_object().unwrap().iter().map(|(k, v)| (k.as_str(), v)).collect();
    Expression::parse(text).unwrap_or_else(|error| panic!("{text}: {error}")).holds(&variables)
}

/// Expressions that hold for the object, all of which the library can evaluate as well.
const TRUE: &[&str] = &[
    "status.conditions.exists(c, c.type == 'Ready' && c.status == 'True')",
    "status.conditions.filter(e, e.type == 'Ready').all(e, e.status == 'True')",
    "!status.conditions.all(c, c.status == 'True')",
    "status.conditions.exists_one(c, c.status == 'False')",
    "status.conditions.map(c, c.type) == ['Ready', 'Synced']",
    "status.conditions.map(c, c.status == 'True', c.type) == ['Ready']",
    "status.observedGeneration == metadata.generation",
    "status.readyReplicas >= spec.replicas",
    "has(status.phase) && !has(status.gone)",
    "has(spec.nothing)",
    "spec.nothing == null",
    "status.phase in ['Running', 'Succeeded']",
    "'app' in metadata.labels",
    "metadata.labels['a.b/c'] == 'd'",
    "status.conditions[0].type == 'Ready'",
    "status.conditions[1].status == 'False'",
    "size(status.conditions) == 2 && status.conditions.size() == 2",
    "size('äöü') == 3",
    "spec.replicas == 3.0 && spec.replicas < 3.5 && 3u == spec.replicas",
    "spec.ratio * 2.0 == 3.0",
    "7 / 2 == 3 && -7 / 2 == -3 && -7 % 3 == -1",
    "1 + 2 * 3 == 7",
    "'a' + 'b' == 'ab'",
    "[1, 2] + [3] == [1, 2, 3]",
    "spec.paused ? false : true",
    // The side that decides hides an error of the other.
    "true || status.gone == 1",
    "status.gone == 1 || true",
    "!(status.gone == 1 && false)",
    "status.conditions.exists(c, c.reason == 'Up')",
    "[1, 0, 2].exists(x, 4 / x == 2)",
    "{'a': 1, 'b': 2}['b'] == 2",
    "{'a': [1]}.a == [1]",
    "{'a': 1} == {'a': 1.0}",
    "[1, 2.0, 3u] == [1u, 2, 3]",
    "'x' != 1 && null != 0 && [] != {}",
    "'abc'.startsWith('ab') && 'abc'.endsWith('bc') && 'abc'.contains('b')",
    "int('12') == 12 && double('1.5') == 1.5 && string(12) == '12'",
    "type(1) == int && type('a') == string && type([]) == list && type({}) == map",
    "metadata.labels.all(key, key.size() > 0)",
    "spec.zones.all(z, spec.zones.exists(y, y == z))",
    "status.big == 18446744073709551615u",
    "'b' > 'a' && 'ab' > 'a' && true > false",
    "spec.zones.map(z, z + '!').filter(z, z != 'b!') == ['a!', 'c!']",
    "dyn(1) == 1",
    "b'abc' == bytes('abc')",
    "'\\u00e4' == 'ä' && r'\\n' == '\\\\n' && \"\"\"x\"\"\" == 'x'",
];

#[test]
fn what_holds() {
    for text in TRUE {
        assert_eq!(holds(text), Ok(true), "{text}");
        assert_eq!(holds(&format!("!({text})")), Ok(false), "{text}");
    }
}

#[test]
fn the_library_gives_the_same_answers() {
    let object = object();
    for text in TRUE {
        let program = cel::Program::compile(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let mut context = cel::Context::default();
        for (name, value) in object.as_object().unwrap() {
            context.add_variable(name.as_str(), cel::to_value(value).unwrap()).unwrap();
        }
        assert_eq!(program.execute(&context), Ok(cel::Value::Bool(true)), "{text}");
    }
}

#[test]
fn functions_of_extensions() {
    let texts = [
        // The library rounds here; the specification compares the numbers.
        "9007199254740993 > 9007199254740992.0 && 9007199254740993 != 9007199254740992.0",
        "'2026-01-02'.matches('^[0-9-]+$') && matches('abc', 'b.')",
        "'A,b'.lowerAscii().split(',') == ['a', 'b'] && 'a'.upperAscii() == 'A'",
        "'abc'.split('') == ['a', 'b', 'c'] && 'abc'.split('', 2) == ['a', 'bc'] && 'a,b,c'.split(',', 2) == ['a', 'b,c']",
        "['a', 'b'].join('-') == 'a-b' && ['a', 'b'].join() == 'ab'",
        "'hello'.replace('l', 'L') == 'heLLo' && 'hello'.replace('l', 'L', 1) == 'heLlo'",
        "'hello'.substring(1) == 'ello' && 'hello'.substring(1, 3) == 'el' && 'äö'.charAt(1) == 'ö'",
        "'hello'.indexOf('l') == 2 && 'hello'.lastIndexOf('l') == 3 && 'hello'.indexOf('x') == -1",
        "'hello'.indexOf('l', 3) == 3 && 'hello'.lastIndexOf('l', 2) == 2",
        "'  a '.trim() == 'a' && 'ab'.reverse() == 'ba'",
        "sets.contains([1, 2, 3], [2]) && sets.intersects([1], [1, 2]) && sets.equivalent([1, 2], [2, 1, 1])",
        "base64.encode(b'hi') == 'aGk=' && base64.decode('aGk=') == b'hi' && base64.decode('aGk') == b'hi'",
        "timestamp(status.since).getFullYear() == 2026 && timestamp(status.since).getMonth() == 0",
        "timestamp(status.since).getDayOfMonth() == 1 && timestamp(status.since).getDate() == 2",
        "timestamp(status.since).getHours('+02:30') == 5 && timestamp(status.since).getHours('UTC') == 3",
        "timestamp(status.since) + duration('1h') > timestamp(status.since)",
        "timestamp('2026-01-02T00:00:00Z') - timestamp('2026-01-01T00:00:00Z') == duration('24h')",
        "duration('1h30m') == duration('90m') && duration('1.5s').getMilliseconds() == 500 && duration('-1m') < duration('0')",
        "status.?phase.orValue('') == 'Running' && status.?gone.orValue('x') == 'x'",
        "status.?gone.?below.orValue(1) == 1 && status.conditions[?5].?type.orValue('none') == 'none'",
        "!status.?gone.hasValue() && status.?phase.hasValue() && status.?phase.value() == 'Running'",
        "optional.of(1).or(optional.of(2)).value() == 1 && optional.none().or(optional.of(2)).value() == 2",
        "optional.ofNonZeroValue('') == optional.none() && status.?phase.optMap(p, p + '!').orValue('') == 'Running!'",
        "status.?phase.optFlatMap(p, optional.none()) == optional.none()",
        "[?status.?gone, ?status.?phase] == ['Running'] && {?'a': status.?gone} == {}",
        "bool('true') && uint(3) == 3u && int(3.9) == 3 && int(timestamp('1970-01-01T00:00:10Z')) == 10",
        "string(timestamp('1970-01-01T00:00:10Z')) == '1970-01-01T00:00:10Z' && string(b'a') == 'a' && string(true) == 'true'",
    ];
    for text in texts {
        assert_eq!(holds(text), Ok(true), "{text}");
    }
}

#[test]
fn what_has_no_answer_says_why() {
    let check = |text: &str, expected: &str| {
        let found = holds(text).map_err(|error| error.to_string());
        assert_eq!(found, Err(expected.to_owned()), "{text}");
    };
    check("status.gone == 1", "there is no status.gone");
    check("status.gone.below", "there is no status.gone");
    check("has(nothing.below)", "there is no nothing");
    check("status.conditions[4].type == ''", "there is no status.conditions[4]");
    check("metadata.labels['x'] == ''", "there is no metadata.labels['x']");
    check("status.conditions.exists(c, c.severity == 'x')", "there is no c.severity");
    check("status.?gone.value() == 1", "there is no value in an optional");
    check("status.phase", "the result is string, not bool");
    check("status.phase && true", "'&&' needs bool, not string");
    check("!status.phase", "'!' needs bool, not string");
    check("status.phase.length == 1", "status.phase is string, it has no field length");
    check("status.phase > 3", "string cannot be compared with int");
    check("status.phase + 3 == ''", "'+' cannot be used with string and int");
    check("1 in status.phase", "'in' needs a list or a map, not string");
    check("status.phase.all(x, true)", "status.phase is string, only lists and maps have elements");
    check("status.conditions['a'] == 1", "status.conditions is a list, its entries have numbers, not string");
    check("size(3) == 1", "the function size cannot be used with int");
    check("1 / 0 == 1", "'/' by zero");
    check("9223372036854775807 + 1 == 0", "the result of '+' is out of range");
    check("-(-9223372036854775807 - 1) == 0", "the result of '-' is out of range");
    check("timestamp('x') == timestamp('x')", "'x' is not a time");
    check("duration('1y') == duration('1y')", "'1y' is not a duration");
    check("duration('') == duration('')", "'' is not a duration");
    check("'a'.matches('(')", "'(' is not a valid pattern");
    check("'abc'.substring(2, 1) == ''", "the position 2 is out of range");
    check("'abc'.charAt(9) == ''", "the position 9 is out of range");
    check(
        "timestamp(status.since).getHours('Europe/Berlin') == 1",
        "the time zone Europe/Berlin is not UTC or an offset such as +02:00",
    );
    check("{1.5: 2} == {}", "a key of a map cannot be double");
    check("{'a': 1, 'a': 2} == {}", "a map has the key 'a' twice");
}

#[test]
fn what_is_no_expression_says_where() {
    let check = |text: &str, expected: &str| {
        let found = Expression::parse(text).map(|_| ()).map_err(|error| error.to_string());
        assert_eq!(found, Err(expected.to_owned()), "{text}");
    };
    check("", "is empty");
    check("  ", "is empty");
    check(&"a".repeat(3000), "is longer than 2048 bytes");
    check("foo(1)", "there is no function foo");
    check("status.foo(1)", "there is no function foo");
    check("sets.foo([], [])", "there is no function sets.foo");
    check("size(1, 2)", "the function size does not take 2 arguments");
    check("'a'.int()", "the function int is not called on a value: write int(…)");
    check("startsWith('a', 'b')", "the function startsWith is called on a value: write x.startsWith(…)");
    check("Widget{a: 1}", "cannot make an object of the type Widget");
    check(&format!("{}1", "1 + ".repeat(100)), "is nested too deeply: split it or make it simpler");
    check(&format!("a{}", ".b".repeat(100)), "is nested too deeply: split it or make it simpler");
}

#[test]
fn syntax_errors_have_a_place() {
    for text in [
        "status.",
        "status. == 1",
        "(1",
        "1 +",
        "a b",
        "has(status)",
        "'a",
        "[1,,2]",
        "a ? b",
        "@result",
        "x.all(1, true)",
    ] {
        let error = Expression::parse(text).map(|_| ()).unwrap_err().to_string();
        println!("{text}: {error}");
        assert!(!error.contains('\n') && error.len() < 200, "{text}: {error}");
    }
}

/// Nothing that a tenant writes, and no object, may keep the operator busy.
#[test]
fn hostile_expressions_end() {
    let list = json!({"list": (0..5000).collect::<Vec<i64>>(), "text": "a".repeat(500_000)});
    let names: Vec<(&str, &Value)> = vec![("l", &list["list"]), ("t", &list["text"])];
    let too_expensive = |text: &str| {
        let expression = Expression::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(expression.holds(&names), Err(EvaluationError::TooExpensive), "{text}");
    };
    too_expensive("l.all(a, l.all(b, l.all(c, l.all(d, a + b + c + d >= 0))))");
    too_expensive("l.map(a, l.map(b, l)) == []");
    too_expensive("l.map(a, t + t) == []");
    too_expensive("l.all(a, t == t + '')");
    too_expensive("l.map(a, l + l) == []");
    too_expensive("(t + t + t + t) == ''");
    too_expensive("t.replace('', t) == ''");
    too_expensive("t.replace('a', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa') == ''");
    too_expensive("t.split('').join(t) == ''");
    too_expensive("l.map(a, 'x').join(t) == ''");
    too_expensive("t.matches('(a{50}){50}b')");
    too_expensive("t.matches('(((a{100}){100}){100}){100}')");
    too_expensive("l.all(a, t.contains('b') || true)");
    too_expensive("l.all(a, !(t.matches('a+a+a+a+b')))");
    too_expensive("l.all(a, !t.matches('x' + string(a)))");
    too_expensive("l.all(a, a in l)");
    too_expensive("l.all(a, l.map(x, x) == l.map(x, x))");
    too_expensive("l.exists(a, l.exists(b, 1 / 0 == 1))");
    too_expensive("[t, t].all(x, [t, t].all(y, base64.encode(bytes(x)) != y))");
    too_expensive("sets.contains(l, l)");
    // The work of a loop over an ordinary list is far below.
    let expression = Expression::parse("l.all(a, a >= 0)").unwrap();
    assert_eq!(expression.holds(&names), Ok(true));
}

/// Texts that other parsers need a gigabyte or minutes for, or a deep stack.
#[test]
fn hostile_texts_are_parsed_or_refused() {
    let nested =
        |open: &str, close: &str, count: usize| format!("{}1{}", open.repeat(count), close.repeat(count));
    let texts = [
        nested("[", "]", 60),
        nested("[", "]", 1000),
        nested("(", ")", 60),
        nested("(", ")", 1000),
        nested("{1:", "}", 500),
        "[".repeat(125),
        "(".repeat(2000),
        "{".repeat(2000),
        "!".repeat(2000),
        "-".repeat(2000),
        "?".repeat(125),
        "a?".repeat(60),
        "a?b:".repeat(500),
        format!("{}1", "1?1:".repeat(500)),
        "a.b(".repeat(400),
        "a[".repeat(1000),
        format!("{}a{}", "a[".repeat(600), "]".repeat(600)),
        format!("{}true", "a||".repeat(600)),
        format!("{}true", "a&&b||".repeat(300)),
        format!("{}1", "1+".repeat(1000)),
        nested("x.all(y, ", ")", 100),
        nested("x.map(y, y, ", ")", 100),
        nested("has(a.", ")", 200),
        "'".repeat(2000),
        "\\".repeat(2000),
        "0x".repeat(1000),
        "1e".repeat(1000),
        "\u{0}".repeat(2000),
        "😀".repeat(500),
    ];
    for text in &texts {
        let _ = Expression::parse(text);
    }
    // The stack of a worker is enough for the deepest that is accepted.
    let deep = (1..200)
        .map(|count| nested("(1 + ", ")", count))
        .rfind(|text| Expression::parse(text).is_ok())
        .unwrap();
    let run = move || Expression::parse(&format!("{deep} > 0")).unwrap().holds(&[]);
    let thread = std::thread::Builder::new().stack_size(1 << 20).spawn(run).unwrap();
    assert_eq!(thread.join().unwrap(), Ok(true));
}

#[test]
fn a_misspelt_field_is_found_in_the_schema() {
    let schema = json!({"type": "object", "properties": {
        "spec": {"type": "object", "properties": {"replicas": {"type": "integer"}}},
        "status": {"type": "object", "properties": {
            "phase": {"type": "string"},
            "conditions": {"type": "array", "items": {"$ref": "#/definitions/condition"}},
            "loads": {"type": "object", "additionalProperties": {"type": "object", "properties": {"name": {"type": "string"}}}},
            "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
            "any": {"type": "object"},
        }},
    }});
    let root = json!({"definitions": {"condition": {"allOf": [{"$ref": "#/definitions/inner"}]},
        "inner": {"type": "object", "properties": {"type": {"type": "string"}, "status": {"type": "string"}}},
        "loop": {"$ref": "#/definitions/loop"}}});
    let check = |text: &str, expected: Option<&str>| {
        let expression = Expression::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let fault = expression.fields().iter().find_map(|path| path.fault(&schema, &root));
        assert_eq!(fault.as_deref(), expected, "{text}");
    };
    check("status.phase == 'x' && spec.replicas > 1", None);
    check("status.phse == 'x'", Some("there is no field status.phse: did you mean phase?"));
    check("status.Phase == 'x'", Some("there is no field status.Phase: did you mean phase?"));
    check("state.phase == 'x'", Some("there is no field state: did you mean status?"));
    check(
        "status.wrong == 'x'",
        Some("there is no field status.wrong, only any, conditions, free, loads, phase"),
    );
    check("status.conditions.exists(c, c.type == 'Ready' && c.status == 'True')", None);
    check(
        "status.conditions.exists(c, c.typ == 'Ready')",
        Some("there is no field status.conditions[].typ: did you mean type?"),
    );
    check("status.conditions.filter(c, c.type == 'a').all(c, c.statos == 'b')", None);
    check(
        "status.conditions[0].typ == ''",
        Some("there is no field status.conditions[].typ: did you mean type?"),
    );
    check("status.loads['x'].name == ''", None);
    check("status.loads.x.nome == ''", Some("there is no field status.loads.x.nome: did you mean name?"));
    check("status.free.x.y == 1 && status.any.z == 1", None);
    check("metadata.whatever == 1 && kind == 'x' && apiVersion == 'y'", None);
    // What is tested may be absent on purpose.
    check("has(status.newer) && status.newer.x == 1", None);
    check("status.?newer.orValue(1) == 1", None);
    check("has(status.phse.x)", Some("there is no field status.phse: did you mean phase?"));
    let looping = json!({"$ref": "#/definitions/loop"});
    let path = Expression::parse("status.x == 1").unwrap().fields();
    assert_eq!(path.iter().find_map(|path| path.fault(&looping, &root)), None);
}
