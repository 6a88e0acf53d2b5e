from tabdl import datasets as datasets
from tabdl import errors as errors
from tabdl import layers as layers
from tabdl import models as models
from tabdl import testing as testing
from tabdl.artifact import load as load
from tabdl.artifact import save as save
from tabdl.estimators.supervised import Classifier as Classifier
from tabdl.estimators.supervised import Regressor as Regressor
from tabdl.models.custom import KerasClassifier as KerasClassifier
from tabdl.models.custom import KerasRegressor as KerasRegressor
from tabdl.models.embedding import EmbeddingClassifier as EmbeddingClassifier
from tabdl.models.embedding import EmbeddingRegressor as EmbeddingRegressor
from tabdl.models.mlp import MLPClassifier as MLPClassifier
from tabdl.models.mlp import MLPRegressor as MLPRegressor
from tabdl.models.realmlp import RealMLPClassifier as RealMLPClassifier
from tabdl.models.realmlp import RealMLPRegressor as RealMLPRegressor
from tabdl.models.resnet import ResNetClassifier as ResNetClassifier
from tabdl.models.resnet import ResNetRegressor as ResNetRegressor
from tabdl.models.tabm import TabMClassifier as TabMClassifier
from tabdl.models.tabm import TabMRegressor as TabMRegressor
from tabdl.network import TableNetwork as TableNetwork
from tabdl.params import param as param
from tabdl.schema import Schema as Schema

__version__: str
