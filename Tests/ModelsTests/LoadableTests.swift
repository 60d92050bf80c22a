import Kernels
import ModelFormats
import Models
import Testing

/// What the engine refuses to load is refused when a model is looked at, before any worker fetches
/// it.
@Suite struct LoadableTests {
  /// Tensors in memory of which one has another type or shape, or is missing.
  private struct Changed: TensorSource {
    let base: MemoryTensorSource
    let changed: String
    let replacement: SourceTensor?

    var name: String { base.name }
    var tensorNames: [String] { base.tensorNames }

    func tensor(_ name: String) throws -> SourceTensor {
      guard name == changed else { return try base.tensor(name) }
      guard let replacement else {
        throw FormatError(.missing, file: self.name, reason: "there is no tensor \(quoted(name))")
      }
      return replacement
    }

    func read(_ name: String, offset: Int, into target: UnsafeMutableRawBufferPointer) throws {
      try base.read(name, offset: offset, into: target)
    }

    func release(_ name: String, upTo offset: Int) {}
  }

  private static let refused: [ElementType] = [
    .float64, .int64, .int32, .int16, .int8, .uint64, .uint32, .uint16, .uint8, .bool,
  ]

  private let model = TestModel.make()

  private func files(_ tensor: String, _ replacement: SourceTensor?) -> ModelFiles {
    ModelFiles(
      description: model.description,
      source: Changed(base: model.source, changed: tensor, replacement: replacement))
  }

  /// The check and loading agree.
  private func refusal(_ files: ModelFiles) throws -> FormatError? {
    let checked = try #require(throws: FormatError.self) { try files.checkLoadable() }
    let loaded = try #require(throws: FormatError.self) {
      try Model(files.description, from: files.source)
    }
    #expect(checked == loaded)
    return checked
  }

  @Test func aSoundModelPasses() throws {
    try ModelFiles(description: model.description, source: model.source).checkLoadable()
  }

  @Test(arguments: refused)
  func typesThatAreNotComputedWithAreNamed(_ type: ElementType) throws {
    // A matrix, and a norm.
    for requirement in [
      model.description.requirements.tensors[0], model.description.requirements.vectors[0],
    ] {
      let bytes = try #require(type.byteCount(shape: requirement.shape))
      let error = try refusal(
        files(
          requirement.name, SourceTensor(type: type, shape: requirement.shape, byteCount: bytes)))
      #expect(error?.code == .badType)
      #expect(error?.reason.contains(requirement.name) == true)
      #expect(error?.reason.contains(type.rawValue) == true)
    }
  }

  @Test func quantisedNormsShapesAndGapsAreNamed() throws {
    let norm = try #require(model.description.requirements.vectors.first)
    let matrix = try #require(model.description.requirements.tensors.first)
    let cases: [(String, SourceTensor?, FormatError.Code)] = [
      (norm.name, SourceTensor(type: .q8_0, shape: norm.shape, byteCount: 68), .badType),
      (norm.name, SourceTensor(type: .float32, shape: [1], byteCount: 4), .badLayout),
      (matrix.name, SourceTensor(type: .float32, shape: [2, 2], byteCount: 16), .badLayout),
      // FP8 without its scales.
      (
        matrix.name,
        SourceTensor(
          type: .float8E4M3, shape: matrix.shape, byteCount: matrix.shape.reduce(1, *)), .badType
      ),
      (norm.name, nil, .missing), (matrix.name, nil, .missing),
    ]
    for (name, replacement, code) in cases {
      let error = try refusal(files(name, replacement))
      #expect(error?.code == code)
      #expect(error?.reason.contains(name) == true)
    }
  }
}
