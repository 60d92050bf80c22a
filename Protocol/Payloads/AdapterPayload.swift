import Foundation
import ModelFormats

/// A low-rank adapter on its way between coordinator and workers.
///
/// One safetensors file, for each adapted matrix of layer N and kind K (`q_proj`, `k_proj`,
/// `v_proj`, `o_proj`, `gate_proj`, `up_proj`, `down_proj`) in transformers' order of rows:
///
///     layers.N.K.a      F32 or BF16 [rank, inputs]
///     layers.N.K.b      F32 or BF16 [outputs, rank]
///     alpha             F64 [1]
///     rank_stabilised   U8 [1]   0 or 1
///
/// A tensor is BF16 where each of its values is a bfloat16 one, as after `rounded`: half as much
/// travels.
package struct AdapterPayload: Equatable, Sendable {
  /// A matrix's place.
  package struct Site: Hashable, Sendable {
    package var layer: Int
    package var kind: String

    package init(layer: Int, kind: String) { (self.layer, self.kind) = (layer, kind) }

    /// What the names of its tensors begin with.
    var name: String { "layers.\(layer).\(kind)" }
  }

  /// Sizes of A [rank, inputs] and B [outputs, rank].
  package struct Shape: Hashable, Sendable {
    package var rank: Int
    package var inputs: Int
    package var outputs: Int
  }

  /// A and B, row after row.
  package struct Pair: Equatable, Sendable {
    package var rank: Int
    package var inputs: Int
    package var outputs: Int
    package var a: [Float]
    package var b: [Float]

    package init(rank: Int, inputs: Int, outputs: Int, a: [Float], b: [Float]) {
      (self.rank, self.inputs, self.outputs) = (rank, inputs, outputs)
      (self.a, self.b) = (a, b)
    }
  }

  package var alpha: Double
  package var isRankStabilised: Bool
  package var pairs: [Site: Pair]

  package init(alpha: Double, isRankStabilised: Bool, pairs: [Site: Pair]) {
    (self.alpha, self.isRankStabilised, self.pairs) = (alpha, isRankStabilised, pairs)
  }

  private static let payload = "adapter"

  /// The canonical bytes.
  ///
  /// - Throws: `FormatError` for values that do not fill their shapes.
  package func encoded() throws -> Data {
    var writer = SafetensorsWriter()
    try writer.add("alpha", [alpha])
    try writer.add("rank_stabilised", [UInt8(isRankStabilised ? 1 : 0)])
    try Self.add(pairs, to: &writer)
    return writer.data()
  }

  /// - Throws: `FormatError` and `PayloadError`.
  package init(decoding data: Data) throws {
    let file = try SafetensorsFile(payload: data, name: Self.payload)
    let shapes = try Self.shapes(file.header)
    alpha = try file.elements("alpha", as: Double.self, shape: [1])[0]
    guard alpha.isFinite else { throw Self.error("alpha", "not finite") }
    let flag = try file.elements("rank_stabilised", as: UInt8.self, shape: [1])[0]
    guard flag <= 1 else { throw Self.error("rank_stabilised", "\(flag) is neither 0 nor 1") }
    isRankStabilised = flag == 1
    pairs = try shapes.reduce(into: [:]) { pairs, entry in
      let (site, shape) = entry
      pairs[site] = Pair(
        rank: shape.rank, inputs: shape.inputs, outputs: shape.outputs,
        a: try Self.values(file, "\(site.name).a"), b: try Self.values(file, "\(site.name).b"))
    }
  }

  /// The sizes of its matrices.
  package var shapes: [Site: Shape] {
    pairs.mapValues { Shape(rank: $0.rank, inputs: $0.inputs, outputs: $0.outputs) }
  }

  /// The sizes of the matrices of an adapter of `bytes` bytes, of which nothing else is read.
  ///
  /// - Parameter read: gives the bytes of a range.
  /// - Throws: `FormatError`, `PayloadError`, and what `read` throws.
  package static func shapes(
    bytes: Int, read: (Range<Int>) async throws -> Data
  ) async throws -> [Site: Shape] {
    let start = try await read(0..<min(bytes, SafetensorsHeader.lengthBytes))
    var limits = SafetensorsFile.Limits()
    limits.headerBytes = SafetensorsFile.payloadHeaderBytes
    let length = try SafetensorsHeader.byteCount(
      start, fileBytes: bytes, file: payload, limits: limits)
    return try shapes(
      SafetensorsHeader(
        try await read(0..<length), fileBytes: bytes, file: payload, limits: limits))
  }

  static func add(_ pairs: [Site: Pair], to writer: inout SafetensorsWriter) throws {
    for (site, pair) in pairs {
      let name = site.name
      try add("\(name).a", [pair.rank, pair.inputs], pair.a, to: &writer)
      try add("\(name).b", [pair.outputs, pair.rank], pair.b, to: &writer)
    }
  }

  private static func add(
    _ name: String, _ shape: [Int], _ values: [Float], to writer: inout SafetensorsWriter
  ) throws {
    guard BFloat16Coding.isExact(values) else { return try writer.add(name, shape: shape, values) }
    try writer.add(name, type: .bfloat16, shape: shape, bytes: BFloat16Coding.narrow(values))
  }

  private static func values(_ file: SafetensorsFile, _ name: String) throws -> [Float] {
    guard try file.record(name).type == .bfloat16 else {
      return try file.elements(name, as: Float.self)
    }
    return try BFloat16Coding.widen(file, name)
  }

  /// Every value rounded to the nearest bfloat16 one, ties to even.
  package var rounded: AdapterPayload {
    var payload = self
    payload.pairs = pairs.mapValues { pair in
      var pair = pair
      pair.a = pair.a.map(BFloat16Coding.rounded)
      pair.b = pair.b.map(BFloat16Coding.rounded)
      return pair
    }
    return payload
  }

  /// The sizes of the matrices, which with `alpha` and `rank_stabilised` are all that a file has.
  private static func shapes(_ header: SafetensorsHeader) throws -> [Site: Shape] {
    var shapes: [Site: Shape] = [:]
    for name in header.tensors.keys where !["alpha", "rank_stabilised"].contains(name) {
      let parts = name.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
      guard parts.count == 4, parts[0] == "layers", ["a", "b"].contains(parts[3]),
        let layer = Int(parts[1]), layer >= 0, parts[1] == "\(layer)"
      else { throw error(name, "there is no such tensor") }
      let site = Site(layer: layer, kind: parts[2])
      let (a, b) = (try header.record("\(site.name).a"), try header.record("\(site.name).b"))
      guard [.float32, .bfloat16].contains(a.type), [.float32, .bfloat16].contains(b.type) else {
        throw error(name, "neither F32 nor BF16")
      }
      guard a.shape.count == 2, b.shape.count == 2, a.shape[0] == b.shape[1],
        (a.shape + b.shape).allSatisfy({ $0 > 0 })
      else { throw error(name, "A \(a.shape) and B \(b.shape) are no pair") }
      shapes[site] = Shape(rank: a.shape[0], inputs: a.shape[1], outputs: b.shape[0])
    }
    guard !shapes.isEmpty else { throw error("layers", "it adapts no matrix") }
    return shapes
  }

  static func error(_ tensor: String, _ reason: String) -> PayloadError {
    PayloadError(payload, tensor: tensor, reason: reason)
  }
}
