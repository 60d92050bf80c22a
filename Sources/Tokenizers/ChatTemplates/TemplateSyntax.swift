import ModelFormats

/// An expression of a template.
indirect enum TemplateExpression: Sendable {
  case constant(TemplateConstant)
  case name(String)
  case list([TemplateExpression])
  case tuple([TemplateExpression])
  case dictionary([(key: TemplateExpression, value: TemplateExpression)])
  case attribute(TemplateExpression, String)
  case item(TemplateExpression, TemplateExpression)
  case slice(
    TemplateExpression, start: TemplateExpression?, stop: TemplateExpression?,
    step: TemplateExpression?)
  case call(TemplateExpression, TemplateArguments)
  case filter(TemplateExpression, String, TemplateArguments)
  case test(TemplateExpression, String, TemplateArguments)
  case not(TemplateExpression)
  case negative(TemplateExpression)
  case positive(TemplateExpression)
  case and(TemplateExpression, TemplateExpression)
  case or(TemplateExpression, TemplateExpression)
  case binary(String, TemplateExpression, TemplateExpression)
  case concatenation([TemplateExpression])
  case comparison(TemplateExpression, [(operation: String, operand: TemplateExpression)])
  case condition(
    TemplateExpression, then: TemplateExpression, otherwise: TemplateExpression?, line: Int)
}

enum TemplateConstant: Sendable {
  case none
  case bool(Bool)
  case int(Int)
  case bigInt(BigInteger)
  case double(Double)
  case string(String)
}

/// The arguments of a call: in order, by name, and spread from a list or a dictionary.
struct TemplateArguments: Sendable {
  var positional: [TemplateExpression] = []
  var named: [(name: String, value: TemplateExpression)] = []
  var spreadList: TemplateExpression?
  var spreadDictionary: TemplateExpression?
}

/// Where `set` and `for` put a value.
indirect enum TemplateTarget: Sendable {
  case name(String)
  /// An attribute of a namespace.
  case attribute(String, String)
  case tuple([TemplateTarget])
}

/// A macro or the body of a call block.
struct TemplateMacro: Sendable {
  var name: String
  var parameters: [(name: String, fallback: TemplateExpression?)]
  var body: [TemplateStatement]
  /// Which of the implicit names the body mentions; only then may extra arguments come.
  var usesCaller: Bool
  var usesVariadic: Bool
  var usesKeywords: Bool
}

/// A statement of a template and its line.
struct TemplateStatement: Sendable {
  indirect enum Kind: Sendable {
    case text(String)
    case output(TemplateExpression)
    case condition([(test: TemplateExpression, body: [TemplateStatement])], [TemplateStatement])
    case loop(TemplateLoop)
    case set(TemplateTarget, TemplateExpression)
    case setBlock(TemplateTarget, [(name: String, TemplateArguments)], [TemplateStatement])
    case scope([(TemplateTarget, TemplateExpression)], [TemplateStatement])
    case macro(TemplateMacro)
    case callBlock(TemplateExpression, TemplateMacro)
    case filterBlock([(name: String, TemplateArguments)], [TemplateStatement])
    /// A body that is rendered where it stands.
    case group([TemplateStatement])
    case evaluate(TemplateExpression)
    case leaveLoop
    case nextRound
  }

  var kind: Kind
  var line: Int
}

struct TemplateLoop: Sendable {
  var target: TemplateTarget
  var sequence: TemplateExpression
  var filter: TemplateExpression?
  var isRecursive: Bool
  var body: [TemplateStatement]
  var otherwise: [TemplateStatement]
}
