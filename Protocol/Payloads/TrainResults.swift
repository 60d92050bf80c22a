import Foundation
import ModelFormats

/// The result of a `train` unit: what its steps changed, rounded to bfloat16 (nearest, ties to
/// even), so that half as much travels.
///
///     layers.N.K.a, layers.N.K.b   BF16, as of `AdapterPayload`: after minus before
///     losses, norms                F64 [H]   of each step: the mean loss before it, the norm of
///                                            its gradient before clipping
package struct TrainResult: Equatable, Sendable {
  /// Values are bfloat16 ones, widened.
  package var changes: [AdapterPayload.Site: AdapterPayload.Pair]
  package var losses: [Double]
  package var norms: [Double]

  package init(
    changes: [AdapterPayload.Site: AdapterPayload.Pair], losses: [Double], norms: [Double]
  ) {
    (self.changes, self.losses, self.norms) = (changes, losses, norms)
  }

  private static let payload = "train result"

  /// The canonical bytes, whose digest is compared between replicas.
  ///
  /// - Throws: `FormatError` for values that do not fill their shapes.
  package func encoded() throws -> Data {
    var writer = SafetensorsWriter()
    for (site, pair) in changes {
      let name = "layers.\(site.layer).\(site.kind)"
      try writer.add(
        "\(name).a", type: .bfloat16, shape: [pair.rank, pair.inputs],
        bytes: BFloat16Coding.narrow(pair.a))
      try writer.add(
        "\(name).b", type: .bfloat16, shape: [pair.outputs, pair.rank],
        bytes: BFloat16Coding.narrow(pair.b))
    }
    try writer.add("losses", losses)
    try writer.add("norms", norms)
    return writer.data()
  }

  /// Reads a result and checks that it can be one of `inputs` from `adapter`.
  ///
  /// - Throws: `FormatError` and `PayloadError`.
  package init(
    decoding data: Data, for inputs: TrainInputs, from adapter: AdapterPayload
  ) throws {
    let file = try Self.checked(data, steps: inputs.steps.count, shapes: adapter.shapes)
    losses = try file.elements("losses", as: Double.self)
    norms = try file.elements("norms", as: Double.self)
    changes = try adapter.pairs.reduce(into: [:]) { changes, entry in
      let (site, pair) = entry
      changes[site] = AdapterPayload.Pair(
        rank: pair.rank, inputs: pair.inputs, outputs: pair.outputs,
        a: try BFloat16Coding.widen(file, "\(site.name).a"),
        b: try BFloat16Coding.widen(file, "\(site.name).b"))
    }
  }

  /// Checks that a result can be one of so many steps from an adapter of these shapes, without
  /// building anything of it.
  ///
  /// - Throws: `FormatError` and `PayloadError`.
  package static func check(
    _ data: Data, steps: Int, shapes: [AdapterPayload.Site: AdapterPayload.Shape]
  ) throws {
    _ = try checked(data, steps: steps, shapes: shapes)
  }

  private static func checked(
    _ data: Data, steps: Int, shapes: [AdapterPayload.Site: AdapterPayload.Shape]
  ) throws -> SafetensorsFile {
    let file = try SafetensorsFile(
      payload: data, name: payload, headerBytes: headerBytes(matrices: shapes.count))
    func require(_ condition: Bool, _ tensor: String, _ reason: String) throws {
      guard condition else { throw PayloadError(payload, tensor: tensor, reason: reason) }
    }
    try require(
      file.tensors.count == 2 + 2 * shapes.count, "layers", "not the matrices that the adapter has")
    for (site, shape) in shapes {
      for (name, expected) in [
        ("\(site.name).a", [shape.rank, shape.inputs]),
        ("\(site.name).b", [shape.outputs, shape.rank]),
      ] {
        let record = try file.record(name)
        try require(
          record.type == .bfloat16 && record.shape == expected, name,
          "not BF16 of shape \(expected)")
        try require(
          try file.withBytes(of: name, BFloat16Coding.areFinite), name, "a change is not finite")
      }
    }
    try require(
      try file.all("losses", as: Double.self, shape: [steps], PlausibleLoss.contains), "losses",
      PlausibleLoss.rule)
    try require(
      try file.all("norms", as: Double.self, shape: [steps]) { $0.isFinite && $0 >= 0 }, "norms",
      "a norm is not finite, or negative")
    return file
  }

  /// Of a result's header, at most: two entries for each matrix.
  private static func headerBytes(matrices: Int) -> Int { 4096 + 512 * matrices }

  /// Bytes of a result of so many steps from an adapter of these shapes, at most.
  package static func limitBytes(
    steps: Int, shapes: [AdapterPayload.Site: AdapterPayload.Shape]
  ) -> Int {
    shapes.values.reduce(16 * steps + headerBytes(matrices: shapes.count)) {
      $0 + 2 * $1.rank * ($1.inputs + $1.outputs)
    }
  }
}

/// What a mean loss of tokens can be. Of a vocabulary of millions a guess has 15; a model that is
/// sure of the wrong token has the distance of two logits. Sums of such losses stay finite.
package enum PlausibleLoss {
  private static let limit = 1e4
  /// What a loss that is none breaks.
  package static let rule = "a loss is not finite, negative, or above \(Int(limit)) a label"

  /// Whether a mean loss of one or more labels can be.
  package static func contains(_ loss: Double) -> Bool { loss >= 0 && loss <= limit }
}

/// The result of a `validate` unit.
///
///     loss_sums  F64 [S]   of each sequence: the sum of the losses of its labels
///     labels     I32 [S]   how many they are
package struct ValidateResult: Equatable, Sendable {
  package var lossSums: [Double]
  package var labels: [Int]

  package init(lossSums: [Double], labels: [Int]) {
    (self.lossSums, self.labels) = (lossSums, labels)
  }

  /// The mean loss of all labels; nil where there is none.
  package var meanLoss: Double? {
    let count = labels.reduce(0, +)
    return count > 0 ? lossSums.reduce(0, +) / Double(count) : nil
  }

  private static let payload = "validate result"

  /// The canonical bytes.
  ///
  /// - Throws: `PayloadError` for 2^31 labels of a sequence or more.
  package func encoded() throws -> Data {
    var writer = SafetensorsWriter()
    try writer.add("loss_sums", lossSums)
    try writer.add(
      "labels",
      labels.map { count in
        guard let value = Int32(exactly: count) else {
          throw PayloadError(Self.payload, tensor: "labels", reason: "2^31 or more")
        }
        return value
      })
    return writer.data()
  }

  /// Bytes of a result of so many sequences, at most.
  package static func limitBytes(sequences: Int) -> Int { 12 * sequences + headerBytes }
  private static let headerBytes = 1024

  /// Reads a result and checks that it can be one of `inputs`.
  ///
  /// - Throws: `FormatError` and `PayloadError`.
  package init(decoding data: Data, for inputs: LabelledSequences) throws {
    try self.init(decoding: data, labels: inputs.countedLabels)
  }

  /// Reads a result and checks that it can be one of sequences with so many labels that count.
  ///
  /// - Throws: `FormatError` and `PayloadError`.
  package init(decoding data: Data, labels expected: [Int]) throws {
    let file = try SafetensorsFile(
      payload: data, name: Self.payload, headerBytes: Self.headerBytes)
    func error(_ tensor: String, _ reason: String) -> PayloadError {
      PayloadError(Self.payload, tensor: tensor, reason: reason)
    }
    guard file.tensors.count == 2 else {
      throw error("labels", "\(file.tensors.count) tensors, not 2")
    }
    labels = try file.elements("labels", as: Int32.self, shape: [expected.count]).map { Int($0) }
    guard labels == expected else { throw error("labels", "not those of the unit's sequences") }
    lossSums = try file.elements("loss_sums", as: Double.self, shape: [expected.count])
    guard
      zip(lossSums, labels).allSatisfy({ sum, count in
        count == 0 ? sum == 0 : PlausibleLoss.contains(sum / Double(count))
      })
    else { throw error("loss_sums", PlausibleLoss.rule) }
  }
}

extension LabelledSequences {
  /// Of each sequence the labels that count: the first never does.
  package var countedLabels: [Int] {
    sequences.map { $0.labels.dropFirst().count { $0 != -100 } }
  }
}
