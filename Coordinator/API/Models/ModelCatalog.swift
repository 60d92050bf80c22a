package actor ModelCatalog { package init() {} }
