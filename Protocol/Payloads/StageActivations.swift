import Foundation
import ModelFormats

/// What passes from one part of a model to the next, for whole sequences: the inputs of a
/// `stage_forward` unit, and its result where the part has no head. The result of one part is the
/// inputs of the next, byte for byte.
///
/// One safetensors file, S sequences of R tokens in all, each from its first token on:
///
///     tokens            I32 [R]         offsets   I32 [S+1]
///     hidden            F32 [R, D]      the residual stream; absent before the embedding
///     per_layer_inputs  F32 [R, ..]     of models with per-layer inputs
///     keys.N, values.N  F32 [R, ..]     of layer N, where later parts read its keys and values
package struct StageActivations: Equatable, Sendable {
  /// One row for each token.
  package struct Rows: Equatable, Sendable {
    /// Values of a row, 1 or more.
    package let columns: Int
    /// Row after row.
    package var values: [Float]

    /// - Parameter values: `columns` for each row.
    package init(columns: Int, values: [Float]) {
      (self.columns, self.values) = (columns, values)
    }
  }

  /// Keys and values of a layer.
  package struct Shared: Equatable, Sendable {
    package var keys: Rows
    package var values: Rows

    package init(keys: Rows, values: Rows) { (self.keys, self.values) = (keys, values) }
  }

  /// What a reader accepts.
  package enum Limit {
    package static let sequences = 4096
    /// A model has fewer layers.
    package static let layer = 1 << 16
  }

  /// At least one, of at least one token each.
  package var sequences: [[Int32]]
  package var hidden: Rows?
  package var perLayerInputs: Rows?
  /// By layer.
  package var shared: [Int: Shared]

  package init(
    sequences: [[Int32]], hidden: Rows? = nil, perLayerInputs: Rows? = nil,
    shared: [Int: Shared] = [:]
  ) {
    self.sequences = sequences
    self.hidden = hidden
    self.perLayerInputs = perLayerInputs
    self.shared = shared
  }

  /// Tokens of all sequences.
  package var tokenCount: Int { sequences.reduce(0) { $0 + $1.count } }

  private static let payload = "stage activations"

  /// The canonical bytes.
  ///
  /// - Throws: `PayloadError` for what cannot be read again.
  package func encoded() throws -> Data {
    guard let offsets = RaggedOffsets.encode(sequences.lazy.map(\.count)) else {
      throw Self.error("offsets", "2^31 tokens or more")
    }
    let rows = tokenCount
    var writer = SafetensorsWriter()
    func add(_ name: String, _ tensor: Rows?) throws {
      guard let tensor else { return }
      guard tensor.columns > 0, tensor.values.count == rows * tensor.columns else {
        throw Self.error(name, "not \(tensor.columns) values for each of \(rows) tokens")
      }
      try writer.add(name, shape: [rows, tensor.columns], tensor.values)
    }
    try writer.add("tokens", sequences.flatMap { $0 })
    try writer.add("offsets", offsets)
    try add("hidden", hidden)
    try add("per_layer_inputs", perLayerInputs)
    for (layer, tensors) in shared {
      try add("keys.\(layer)", tensors.keys)
      try add("values.\(layer)", tensors.values)
    }
    return writer.data()
  }

  /// Reads and checks activations; whether they fit a model is for that model to say.
  ///
  /// - Throws: `FormatError` and `PayloadError`.
  package init(decoding data: Data) throws {
    let file = try SafetensorsFile(payload: data, name: Self.payload)
    let (tokens, ranges) = try RaggedOffsets.sequences(
      of: file, payload: Self.payload, limit: Limit.sequences)
    try Self.check(file, rows: tokens.count)
    sequences = ranges.map { Array(tokens[$0]) }
    func rows(_ name: String) throws -> Rows {
      let values = try file.elements(name, as: Float.self)
      return Rows(columns: values.count / tokens.count, values: values)
    }
    if file.tensors["hidden"] != nil { hidden = try rows("hidden") }
    if file.tensors["per_layer_inputs"] != nil { perLayerInputs = try rows("per_layer_inputs") }
    shared = [:]
    for name in file.names where name.hasPrefix("keys.") {
      guard let layer = Self.layer(of: name) else { continue }
      shared[layer] = Shared(keys: try rows(name), values: try rows("values.\(layer)"))
    }
  }

  /// Throws unless the file has the tensors of activations, with a row for each token.
  private static func check(_ file: SafetensorsFile, rows: Int) throws {
    for name in file.names where !["tokens", "offsets"].contains(name) {
      if let layer = layer(of: name) {
        let other = name.hasPrefix("keys.") ? "values.\(layer)" : "keys.\(layer)"
        guard file.tensors[other] != nil else { throw error(name, "there is no \(other)") }
      } else if !["hidden", "per_layer_inputs"].contains(name) {
        throw error(name, "activations have no such tensor")
      }
      let record = try file.header.record(name, .float32, shape: [rows, nil])
      guard record.shape[1] > 0 else { throw error(name, "its rows have no values") }
    }
  }

  /// N of `keys.N` and `values.N`, in its only spelling.
  private static func layer(of name: String) -> Int? {
    for prefix in ["keys.", "values."] where name.hasPrefix(prefix) {
      guard let layer = Int(name.dropFirst(prefix.count)), (0..<Limit.layer).contains(layer),
        name == "\(prefix)\(layer)"
      else { return nil }
      return layer
    }
    return nil
  }

  private static func error(_ tensor: String, _ reason: String) -> PayloadError {
    PayloadError(payload, tensor: tensor, reason: reason)
  }
}
