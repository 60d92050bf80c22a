/// Which work a worker takes: its owner's choice. A coordinator gives it nothing else, and the
/// worker gives back what it did not choose.
///
/// Each list is nil when nothing was chosen: everything is taken. A name that begins with `-` is
/// refused. Something is taken when no refusal names it and, if the list has other names, one of
/// these does. Capital letters do not count, and `*` stands for any text.
package struct WorkChoices: Codable, Hashable, Sendable {
  /// Kinds of units, as `UnitKind` spells them.
  package var kinds: [String]?
  /// Names of models, as batches name them.
  package var models: [String]?
  /// Licences of models: `WorkDescription.licence`. Of a model whose licence nobody stated it is
  /// `unknown`, which no `*` stands for.
  package var licences: [String]?
  /// `public` and `trusted`, the second for the operator's own workers.
  package var pools: [String]?

  package init(
    kinds: [String]? = nil, models: [String]? = nil, licences: [String]? = nil,
    pools: [String]? = nil
  ) {
    self.kinds = kinds
    self.models = models
    self.licences = licences
    self.pools = pools
  }

  /// What a model's licence is called when nobody stated one.
  package static let unknownLicence = "unknown"
  /// The names of the pools.
  package static let poolNames = ["public", "trusted"]
  /// Names of one list, and bytes of one name, at most.
  package static let bounds = (names: 64, bytes: 128)

  /// Whether everything is taken.
  package var isEmpty: Bool { self == WorkChoices() }

  /// Every list with its key.
  package var lists: [(key: String, names: [String]?)] {
    [("kinds", kinds), ("models", models), ("licences", licences), ("pools", pools)]
  }

  /// Whether a unit is taken.
  ///
  /// - Parameter work: what the coordinator says of it; nil from one that says nothing, of which
  ///   only what is not restricted is taken.
  package func takes(_ kind: UnitKind, _ work: WorkDescription?) -> Bool {
    guard NameChoice(kinds).takes([kind.rawValue]) else { return false }
    guard let work else { return models == nil && licences == nil && pools == nil }
    return NameChoice(pools).takes([work.pool]) && NameChoice(models).takes(work.models)
      && NameChoice(licences, special: Self.unknownLicence)
        .takes([work.licence ?? Self.unknownLicence])
  }

  /// Why these choices cannot be, as a sentence; nil if they can.
  package var problem: String? {
    for (key, names) in lists {
      guard let names else { continue }
      guard names.count <= Self.bounds.names else {
        return "\(key): at most \(Self.bounds.names) names."
      }
      for name in names {
        let bare = name.hasPrefix("-") ? name.dropFirst() : name[...]
        let isClean = bare.unicodeScalars.allSatisfy {
          $0.value > 32 && $0 != "," && $0.value != 127
        }
        guard !bare.isEmpty, name.utf8.count <= Self.bounds.bytes, isClean else {
          return "\(key): a name has 1 to \(Self.bounds.bytes) bytes, without commas and spaces."
        }
      }
    }
    return nil
  }
}

/// What a lease says of its unit beside the specification, so that a worker's owner can choose.
package struct WorkDescription: Codable, Hashable, Sendable {
  /// What batches call the unit's model; several where several names mean the same weights.
  package var models: [String]
  /// The model's licence, an SPDX identifier in lower case where there is one; nil when nobody
  /// stated it.
  package var licence: String?
  /// `public` or `trusted`.
  package var pool: String

  package init(models: [String], licence: String?, pool: String) {
    self.models = models
    self.licence = licence
    self.pool = pool
  }
}

/// One list of `WorkChoices`.
struct NameChoice {
  private var wanted: [[UInt8]] = []
  private var refused: [[UInt8]] = []
  private let special: [UInt8]?

  /// - Parameter special: a name that only itself means, whatever `*` stands for.
  init(_ names: [String]?, special: String? = nil) {
    self.special = special.map { Array($0.utf8) }
    for name in names ?? [] {
      let bytes = Array(name.lowercased().utf8)
      if bytes.first == UInt8(ascii: "-") {
        refused.append(Array(bytes.dropFirst()))
      } else {
        wanted.append(bytes)
      }
    }
  }

  /// Whether what has these names is taken.
  func takes(_ names: [String]) -> Bool {
    let names = names.map { Array($0.lowercased().utf8) }
    if names.contains(where: { name in refused.contains { matches(name, $0) } }) { return false }
    return wanted.isEmpty || names.contains { name in wanted.contains { matches(name, $0) } }
  }

  /// Whether a pattern stands for the whole of a name. Only the last `*` is ever tried again, so
  /// that a hostile pattern costs no more than the product of the lengths.
  private func matches(_ name: [UInt8], _ pattern: [UInt8]) -> Bool {
    if name == special { return name == pattern }
    let star = UInt8(ascii: "*")
    var (at, want) = (0, 0)
    var retry: (at: Int, want: Int)?
    while at < name.count {
      if want < pattern.count, pattern[want] == star {
        retry = (at, want + 1)
        want += 1
      } else if want < pattern.count, pattern[want] == name[at] {
        (at, want) = (at + 1, want + 1)
      } else if let last = retry {
        retry = (last.at + 1, last.want)
        (at, want) = (last.at + 1, last.want)
      } else {
        return false
      }
    }
    return pattern[want...].allSatisfy { $0 == star }
  }
}
