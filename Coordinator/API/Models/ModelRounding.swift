import Models

/// How weights in floats are rounded as a model is added.
package struct ModelRounding {
  /// As the model's provenance says it, such as "q4_k".
  package let name: String
  /// The text that it is calibrated on; nil where it is plain.
  package let calibration: ModelProvenance.File?
  /// - Throws: what rounding throws.
  package let apply: (ModelFiles) throws -> ModelFiles

  package init(
    name: String, calibration: ModelProvenance.File?,
    apply: @escaping (ModelFiles) throws -> ModelFiles
  ) {
    (self.name, self.calibration, self.apply) = (name, calibration, apply)
  }

  /// Each weight to the nearest value of its block.
  package static func plain(_ format: RoundedFormat) -> ModelRounding {
    ModelRounding(name: format.rawValue, calibration: nil) { try $0.rounded(to: format) }
  }
}
